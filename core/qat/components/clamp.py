"""Clamping modules: with the gradient of the clamp, or straight through it."""

from torch import Tensor, nn

from qat.ops import scalar_clamp_min_ste, tensor_clamp, tensor_clamp_ste


class TensorClamp(nn.Module):
    """``min(max(x, min_val), max_val)``; the gradient to ``x`` is zero outside the bounds."""

    def forward(self, x: Tensor, min_val: Tensor, max_val: Tensor) -> Tensor:
        return tensor_clamp(x, min_val, max_val)


class TensorClampSte(nn.Module):
    """``min(max(x, min_val), max_val)``; the gradient to ``x`` is that of the identity."""

    def forward(self, x: Tensor, min_val: Tensor, max_val: Tensor) -> Tensor:
        return tensor_clamp_ste(x, min_val, max_val)


class ScalarClampMinSte(nn.Module):
    """``max(x, min_val)`` for a fixed ``min_val``; gradient of the identity."""

    def __init__(self, min_val: float) -> None:
        super().__init__()
        self.min_val = float(min_val)

    def forward(self, x: Tensor) -> Tensor:
        return scalar_clamp_min_ste(x, self.min_val)
