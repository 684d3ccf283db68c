"""Zero point of a grid, from the lowest number that it holds."""

from typing import Any

from torch import Tensor, nn

from qat.components.stats import widened
from qat.ops import max_int, min_int, round_ste, tensor_clamp_ste


def _steps(distance: Tensor, scale: Tensor) -> Tensor:
    # At least float32: the gradient to a scale in float16, distance / scale**2, overflows.
    return widened(distance) / widened(scale)


class _IntegerZeroPoint(nn.Module):
    def __init__(self, signed: bool) -> None:
        super().__init__()
        self.signed = signed

    def forward(self, distance: Tensor, scale: Tensor, bit_width: Tensor) -> Tensor:
        qmin = min_int(self.signed, False, bit_width)
        zero_point = round_ste(_steps(distance, scale)) + qmin
        bounded = tensor_clamp_ste(zero_point, qmin, max_int(self.signed, False, bit_width))
        return bounded.to(distance.dtype)


class _RealZeroPoint(nn.Module):
    def __init__(self, signed: bool) -> None:
        super().__init__()
        self.signed = signed

    def forward(self, distance: Tensor, scale: Tensor, bit_width: Tensor) -> Tensor:
        zero_point = _steps(distance, scale) + min_int(self.signed, False, bit_width)
        return zero_point.to(distance.dtype)


def from_lowest(int_quant: Any, quantize_zero_point: bool) -> nn.Module:
    """A module that is called ``(-lowest, scale, bit_width)`` and gives the zero point.

    Args:
        int_quant: the arithmetic on the grid, whose ``signed`` and ``narrow_range`` are read.
        quantize_zero_point: whether the zero point is an integer of the grid.
    Raises:
        ValueError: the grid has a narrow range.
    """
    if int_quant.narrow_range:
        raise ValueError(
            "narrow_range is True with a zero point: a grid that is shifted has no side to be "
            "even with, and would lose a step of the interval it covers; set narrow_range to False."
        )
    kind = _IntegerZeroPoint if quantize_zero_point else _RealZeroPoint
    return kind(bool(int_quant.signed))
