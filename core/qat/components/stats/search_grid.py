"""Grids that a search tries thresholds and zero points on.

Another format brings a grid of its own, a module that is called ``(rows, threshold, lowest)`` as
:class:`IntSearchGrid` is, and names it ``search_grid_impl``.
"""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor, nn

from qat.components.bit_width import check_bit_width
from qat.components.restrict import FloatRestrictValue
from qat.formats import FloatFormat
from qat.ops import float_step, keep_from_zero, max_int, min_int, smallest_normal


class IntSearchGrid(nn.Module):
    """Rows quantized to integers, by a threshold each: ``(q - zero_point) * scale``.

    ``q = clamp(round(x / scale + zero_point), qmin, qmax)``, as the quantizer computes it. Called
    ``(rows, threshold, lowest)``; ``rows`` is ``[rows, elements]``, the others ``[rows, 1]``.

    Args:
        bit_width, signed, narrow_range: the integer grid.
        int_scaling_impl: gives the integer that a threshold is divided by; the largest magnitude of
            the grid unless given, or with ``is_shifted`` the number of its steps.
        restrict_scaling_impl: the set that scales are restricted to; any float unless given.
        scaling_min_val: lower bound of a threshold.
        is_shifted: whether the grid begins at ``lowest``; otherwise it is around 0.
        quantize_zero_point: whether the zero point is an integer.
    """

    def __init__(
        self,
        bit_width: int,
        signed: bool,
        narrow_range: bool,
        int_scaling_impl: Optional[nn.Module] = None,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_min_val: Optional[float] = None,
        is_shifted: bool = False,
        quantize_zero_point: bool = True,
    ) -> None:
        super().__init__()
        check_bit_width(bit_width)
        self.bit_width = int(bit_width)
        bits = torch.tensor(float(bit_width))
        self.qmin = float(min_int(signed, narrow_range, bits))
        self.qmax = float(max_int(signed, narrow_range, bits))
        symmetric = max(-self.qmin, self.qmax)
        self.int_range = self.qmax - self.qmin if is_shifted else symmetric
        if int_scaling_impl is not None:
            self.int_range = float(int_scaling_impl(bits))
        restrict = FloatRestrictValue() if restrict_scaling_impl is None else restrict_scaling_impl
        self.restrict_scaling = restrict
        self.restrict_preprocess = restrict.preprocess()  # type: ignore[operator]
        self.smallest = 0.0 if scaling_min_val is None else float(scaling_min_val)
        self.is_shifted = is_shifted
        self.quantize_zero_point = quantize_zero_point

    def scale(self, threshold: Tensor) -> Tensor:
        """The scale that a threshold gives, which keeps its sign."""
        restricted = self.restrict_scaling(self.restrict_preprocess(threshold))
        scale = keep_from_zero(restricted, self.smallest) / self.int_range
        return keep_from_zero(scale, smallest_normal(scale))

    def zero_point(self, lowest: Tensor, scale: Tensor) -> Tensor:
        """The zero point of a grid from ``lowest`` on; 0 of one around 0."""
        if not self.is_shifted:
            return torch.zeros_like(scale)
        zero_point = self.qmin - lowest / scale
        if not self.quantize_zero_point:
            return zero_point
        return torch.clamp(torch.round(zero_point), self.qmin, self.qmax)

    def integers(self, rows: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        # An integer zero point is added behind the rounding, a fraction in front of it.
        whole = torch.round(zero_point)
        q = torch.round(rows / scale + (zero_point - whole)) + whole
        return torch.clamp(q, self.qmin, self.qmax)

    def quantized(
        self, rows: Tensor, threshold: Tensor, lowest: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """``q - zero_point``, zero point and scale."""
        scale = self.scale(threshold)
        zero_point = self.zero_point(lowest, scale)
        return self.integers(rows, scale, zero_point) - zero_point, zero_point, scale

    def forward(self, rows: Tensor, threshold: Tensor, lowest: Tensor) -> Tensor:
        steps, _, scale = self.quantized(rows, threshold, lowest)
        return steps * scale


class FloatSearchGrid(nn.Module):
    """Rows quantized to a minifloat format, by a threshold each, as ``FloatQuant`` does it.

    Called ``(rows, threshold, lowest)`` as :class:`qat.components.stats.IntSearchGrid` is; there
    is no zero point, so ``lowest`` plays no part.

    Args:
        float_format: the grid.
        float_scaling_impl: its ``divisor`` makes a threshold a scale; it is one where None.
        restrict_scaling_impl: the set that scales are restricted to; any float unless given.
        scaling_min_val: lower bound of a threshold.
    """

    def __init__(
        self,
        float_format: FloatFormat,
        float_scaling_impl: Optional[Any] = None,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__()
        self.mantissa_bits = float_format.mantissa_bits
        self.min_exponent = float_format.min_exponent
        self.lowest = float_format.min_value
        self.highest = float_format.max_value
        self.divisor = 1.0 if float_scaling_impl is None else float_scaling_impl.divisor
        restrict = FloatRestrictValue() if restrict_scaling_impl is None else restrict_scaling_impl
        self.restrict_scaling = restrict
        self.restrict_preprocess = restrict.preprocess()  # type: ignore[operator]
        self.smallest = 0.0 if scaling_min_val is None else float(scaling_min_val)

    def forward(self, rows: Tensor, threshold: Tensor, lowest: Tensor) -> Tensor:
        restricted = self.restrict_scaling(self.restrict_preprocess(threshold))
        scale = torch.clamp(torch.abs(restricted), min=self.smallest) / self.divisor
        scale = torch.clamp(scale, min=smallest_normal(scale))
        v = torch.clamp(rows / scale, self.lowest, self.highest)
        step = float_step(v, self.mantissa_bits, self.min_exponent)
        return torch.round(v / step) * step * scale
