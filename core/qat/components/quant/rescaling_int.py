"""Integer quantizers that find their own scale."""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor, nn

from qat import jit
from qat.components import fast_path
from qat.components.quant.int import IntQuant
from qat.components.scaling.base import PositiveScale
from qat.components.scaling.from_weight import rows_of_maximum
from qat.components.scaling.int_scaling import IntScaling, PowerOfTwoIntScaling
from qat.components.scaling.runtime import RunningStats
from qat.components.stats.squared_error import searched_once
from qat.components.zero_point import ZeroZeroPoint
from qat.ops import (
    NO_BOUNDS,
    Bounds,
    IntGrid,
    activated,
    maximum_int_fake_quantize,
    scale_from_threshold,
    signed_scale_from_threshold,
    threshold_int_fake_quantize,
)


class RescalingIntQuant(jit.ScriptModule):
    """Integer quantizer that finds its own scale: ``scale = threshold / integer range``.

    Args:
        int_quant: arithmetic on the grid.
        scaling_impl: called with ``x``, gives the threshold.
        int_scaling_impl: called with the bit width, gives the integer range.
        zero_point_impl: called ``(x, scale, bit_width)``.
        bit_width_impl: called without argument.
    Returns:
        ``(y, scale, zero_point, bit_width)``; the scale is at least the smallest normal number, in
        magnitude where ``scaling_impl`` ``keeps_sign``.

    ``bounds`` are those of an activation function in front, taken into the same pass where
    ``fuses_activation``; the scale is then found from ``observed`` in place of ``x``.
    """

    __constants__ = ["fuses_activation", "is_one_op", "finds_maximum", "per_row", "keeps_sign"]

    def __init__(
        self,
        int_quant: nn.Module,
        scaling_impl: nn.Module,
        int_scaling_impl: nn.Module,
        zero_point_impl: nn.Module,
        bit_width_impl: nn.Module,
    ) -> None:
        super().__init__()
        self.int_quant = int_quant
        self.scaling_impl = scaling_impl
        self.int_scaling_impl = int_scaling_impl
        self.zero_point_impl = zero_point_impl
        self.msb_clamp_bit_width_impl = bit_width_impl
        self.fuses_activation = isinstance(int_quant, IntQuant) and int_quant.fused
        self.is_one_op = (
            self.fuses_activation
            and isinstance(scaling_impl, PositiveScale)
            and scaling_impl.is_unrestricted
            and type(int_scaling_impl) in (IntScaling, PowerOfTwoIntScaling)
            and type(zero_point_impl) is ZeroZeroPoint
        )
        self.keeps_sign = bool(getattr(scaling_impl, "keeps_sign", False))
        rows = rows_of_maximum(scaling_impl)
        self.finds_maximum = rows is not None
        self.per_row = rows == "first dimension"

    def _grid(self) -> Tuple[IntGrid, Tensor]:
        """The integers, and how many of them the threshold is mapped to."""
        bit_width = self.msb_clamp_bit_width_impl()
        zero_point = self.zero_point_impl.zero_point()  # type: ignore[operator]
        ends: Any = self.int_quant
        grid = IntGrid(zero_point, bit_width, ends.signed, ends.narrow_range)
        return grid, self.int_scaling_impl(bit_width)

    def forward(
        self, x: Tensor, bounds: Bounds = NO_BOUNDS, observed: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        if self.is_one_op:
            if jit.is_scripting():
                return self.in_one_op(x, self._grid(), bounds, observed)
            else:
                grid = fast_path.grid_of(self)
                if grid is not None:
                    return self.in_one_op(x, grid, bounds, observed)
        bit_width = self.msb_clamp_bit_width_impl()
        threshold = self.scaling_impl(x if observed is None else observed)
        int_range = self.int_scaling_impl(bit_width)
        if self.keeps_sign:
            scale = signed_scale_from_threshold(threshold, int_range)
        else:
            scale = scale_from_threshold(threshold, int_range)
        zero_point = self.zero_point_impl(x, scale, bit_width)
        if not jit.is_scripting():
            self._hold_both_ends()
        if self.fuses_activation:
            y = self.int_quant(scale, zero_point, bit_width, x, bounds)
        else:
            y = self.int_quant(scale, zero_point, bit_width, activated(x, bounds))
        return y, scale, zero_point, bit_width

    def _hold_both_ends(self) -> None:
        scaling, zero_point = self.scaling_impl, self.zero_point_impl
        if isinstance(scaling, RunningStats) and isinstance(zero_point, RunningStats):
            scaling.hold_both_ends(zero_point)

    def observe(self, x: Tensor) -> None:
        """Let the parts that take statistics see ``x``, which is not quantized."""
        scaling: Any = self.scaling_impl
        zero_point: Any = self.zero_point_impl
        if isinstance(scaling, RunningStats) and not torch.compiler.is_compiling():
            if type(zero_point) is ZeroZeroPoint:
                scaling.take_statistics(x)
                return
            if isinstance(zero_point, RunningStats):
                with searched_once():
                    scaling.take_statistics(x)
                    zero_point.take_statistics(x)
                self._hold_both_ends()
                return
        bit_width = self.msb_clamp_bit_width_impl()
        threshold = scaling(x)
        if not self.is_one_op:  # then zero points may take statistics as well
            int_range = self.int_scaling_impl(bit_width)
            zero_point(x, scale_from_threshold(threshold, int_range), bit_width)

    @jit.script_method
    def in_one_op(
        self,
        x: Tensor,
        grid_and_range: Tuple[IntGrid, Tensor],
        bounds: Bounds,
        observed: Optional[Tensor],
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """All of :meth:`forward` in one op, where ``is_one_op``: the same maths in one pass."""
        grid, int_range = grid_and_range
        scaling: Any = self.scaling_impl
        clipped: bool = self.int_quant.clipped  # type: ignore[assignment]
        if self.finds_maximum:
            rows = x.shape[0] if self.per_row else 0
            shape = scaling.stats.stats_output_shape
            y, scale = maximum_int_fake_quantize(
                x, rows, shape, scaling.smallest, int_range, grid, clipped
            )
        else:
            stored = scaling.stored(x if observed is None else observed)
            y, scale = threshold_int_fake_quantize(
                x, stored, scaling.smallest, int_range, grid, clipped, bounds
            )
        return y, scale, grid.zero_point, grid.bit_width
