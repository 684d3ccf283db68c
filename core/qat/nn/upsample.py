"""Upsampling of quantized tensors."""

from typing import Any

from torch import Tensor, nn

from qat.nn.base.output_layer import QuantOutputLayer
from qat.ops import round_ste, tensor_clamp_ste
from qat.tensor import QuantTensor, unwrap
from qat.tensor.dispatch import has_grid
from qat.tensor.functions import with_zero
from qat.tensor.grid import bounds, wide
from qat.tensor.shape_ops import varies


class _QuantUpsample(QuantOutputLayer):
    def __init__(self, *args: Any, return_quant_tensor: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, return_quant_tensor=return_quant_tensor, **kwargs)

    def compute(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        out = super().compute(x)
        if isinstance(out, QuantTensor) or self.output_quant.is_quant_enabled:
            return out
        return _rounded(out, x) if has_grid(x) else out

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        out = self.output_quant(self.compute(x))
        return out if self.return_quant_tensor else unwrap(out)


def _rounded(value: Tensor, like: Any) -> Tensor | QuantTensor:
    """``value``, mixed from elements of ``like``, rounded to its grid; plain where that varies."""
    if varies(like, range(2, value.dim())):
        return value
    grid = with_zero(like)
    low, high = (
        (bound - wide(grid.zero_point)).to(value.dtype)
        for bound in bounds(grid.bit_width, grid.signed)
    )
    steps = tensor_clamp_ste(round_ste(value / grid.scale), low, high)
    made: QuantTensor = grid.set(value=steps * grid.scale)
    return made


class QuantUpsample(_QuantUpsample, nn.Upsample):  # type: ignore[misc]  # wider types
    """``torch.nn.Upsample`` of a quantized tensor.

    The modes ``"nearest"`` and ``"nearest-exact"`` copy elements, which stay on their grid. The
    others mix them: the result is rounded to the grid of the input, with the gradient of the
    identity, or requantized by ``output_quant`` where one is given.

    Args:
        output_quant: quantizer of the result, a proxy to share, or None.
        return_quant_tensor: give a ``QuantTensor`` where the input is one, or ``output_quant`` is
            given.
        output_*: attributes that replace those of ``output_quant``.
    """

    float_class = nn.Upsample


class QuantUpsamplingNearest2d(_QuantUpsample, nn.UpsamplingNearest2d):  # type: ignore[misc]  # wider types
    """``torch.nn.UpsamplingNearest2d`` of a quantized tensor; see :class:`QuantUpsample`."""

    float_class = nn.UpsamplingNearest2d


class QuantUpsamplingBilinear2d(_QuantUpsample, nn.UpsamplingBilinear2d):  # type: ignore[misc]  # wider types
    """``torch.nn.UpsamplingBilinear2d`` of a quantized tensor; see :class:`QuantUpsample`."""

    float_class = nn.UpsamplingBilinear2d
