"""Clamping modules: with the gradient of the clamp, or straight through it."""

from typing import Tuple

import torch
from torch import Tensor, nn

from qat.ops import (
    scalar_clamp_min_ste,
    scalar_clamp_ste,
    tensor_clamp,
    tensor_clamp_ste,
    tensor_clamp_ste_,
)


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


class ScalarClampSte(nn.Module):
    """``min(max(x, min_val), max_val)`` for two numbers; gradient of the identity."""

    def __init__(self, min_val: float, max_val: float) -> None:
        super().__init__()
        self.min_val, self.max_val = _in_order(min_val, max_val)

    def forward(self, x: Tensor) -> Tensor:
        return scalar_clamp_ste(x, self.min_val, self.max_val)


class ScalarClamp(nn.Module):
    """``min(max(x, min_val), max_val)`` for two numbers; the gradient is zero outside them."""

    def __init__(self, min_val: float, max_val: float) -> None:
        super().__init__()
        self.min_val, self.max_val = _in_order(min_val, max_val)

    def forward(self, x: Tensor) -> Tensor:
        # torch.clamp halves the gradient on the bounds.
        at_least = torch.where(x < self.min_val, self.min_val, x)
        return torch.where(at_least > self.max_val, self.max_val, at_least)


class ClampMin(nn.Module):
    """``max(x, min_val)`` for a number; the gradient is zero below it."""

    def __init__(self, min_val: float) -> None:
        super().__init__()
        self.min_val = float(min_val)

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x < self.min_val, self.min_val, x)


class InplaceTensorClampSte(nn.Module):
    """:class:`TensorClampSte` that overwrites ``x`` and returns it; a parameter is refused."""

    def forward(self, x: Tensor, min_val: Tensor, max_val: Tensor) -> Tensor:
        return tensor_clamp_ste_(x, min_val, max_val)


def _in_order(min_val: float, max_val: float) -> Tuple[float, float]:
    if min_val > max_val:
        raise ValueError(f"min_val is {min_val}, above max_val, {max_val}; exchange them.")
    return float(min_val), float(max_val)
