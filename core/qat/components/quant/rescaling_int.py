"""Integer quantizers that find their own scale."""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor, nn

from qat import jit
from qat.components.bit_width import BitWidthConst
from qat.components.buffers import remembered
from qat.components.quant.int import IntQuant
from qat.components.scaling.base import PositiveScale
from qat.components.scaling.from_weight import rows_of_maximum
from qat.components.scaling.int_scaling import IntScaling, PowerOfTwoIntScaling
from qat.components.zero_point import ZeroZeroPoint
from qat.ops import (
    activated,
    eager_implementation,
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

    ``lo`` and ``hi`` are the bounds of an activation function in front, taken into the same pass
    where ``fuses_activation``; the scale is then found from ``observed`` in place of ``x``.
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

    def _grid(self) -> Tuple[Tensor, Tensor, Tensor]:
        """Bit width, integer range and zero point."""
        bit_width = self.msb_clamp_bit_width_impl()
        zero_point = self.zero_point_impl.zero_point()  # type: ignore[operator]
        return bit_width, self.int_scaling_impl(bit_width), zero_point

    def _quantize_eagerly(
        self, x: Tensor, lo: Optional[float], hi: Optional[float], observed: Optional[Tensor]
    ) -> Any:
        """:meth:`quantize_at_once`, or None where hooks watch the parts and have to be called.

        Between two convolutions the caches are cold, and each Python call costs a few
        microseconds: hence one function, past ``nn.Module.__getattr__``.
        """
        parts: Any = self._modules
        scaling, ends = parts["scaling_impl"], parts["int_quant"]
        if scaling._forward_hooks or scaling._forward_pre_hooks:
            return None
        if ends._forward_hooks or ends._forward_pre_hooks:
            return None
        bits = parts["msb_clamp_bit_width_impl"]
        if type(bits) is BitWidthConst:
            constant: Any = bits._modules["bit_width"]
            found = remembered(self, constant._buffers["value"], self._grid)
        else:
            found = self._grid()
        bit_width, int_range, zero_point = found
        end_flags = ends.signed, ends.narrow_range, ends.clipped
        if self.finds_maximum:
            rows, shape = x.shape[0] if self.per_row else 0, scaling.stats.stats_output_shape
            y, scale = eager_implementation().maximum_int_fake_quantize(
                x, rows, shape, scaling.smallest, int_range, zero_point, bit_width, *end_flags
            )
        else:
            stored = scaling.stored(x if observed is None else observed)
            y, scale = eager_implementation().threshold_int_fake_quantize(
                x, stored, scaling.smallest, int_range, zero_point, bit_width, *end_flags, lo, hi
            )
        return y, scale, zero_point, bit_width

    @jit.script_method
    def quantize_at_once(
        self,
        x: Tensor,
        grid: Tuple[Tensor, Tensor, Tensor],
        lo: Optional[float],
        hi: Optional[float],
        observed: Optional[Tensor],
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """All of :meth:`forward` in one op, where ``is_one_op``."""
        bit_width, int_range, zero_point = grid
        scaling: Any = self.scaling_impl
        ends: Any = self.int_quant
        if self.finds_maximum:
            y, scale = maximum_int_fake_quantize(
                x,
                x.shape[0] if self.per_row else 0,
                scaling.stats.stats_output_shape,
                scaling.smallest,
                int_range,
                zero_point,
                bit_width,
                ends.signed,
                ends.narrow_range,
                ends.clipped,
            )
        else:
            y, scale = threshold_int_fake_quantize(
                x,
                scaling.stored(x if observed is None else observed),
                scaling.smallest,
                int_range,
                zero_point,
                bit_width,
                ends.signed,
                ends.narrow_range,
                ends.clipped,
                lo,
                hi,
            )
        return y, scale, zero_point, bit_width

    def forward(
        self,
        x: Tensor,
        lo: Optional[float] = None,
        hi: Optional[float] = None,
        observed: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        if self.is_one_op:
            if jit.is_scripting():
                return self.quantize_at_once(x, self._grid(), lo, hi, observed)
            elif torch.compiler.is_compiling():
                return self.quantize_at_once(x, self._grid(), lo, hi, observed)
            else:
                made = self._quantize_eagerly(x, lo, hi, observed)
                if made is not None:
                    return made
        bit_width = self.msb_clamp_bit_width_impl()
        threshold = self.scaling_impl(x if observed is None else observed)
        int_range = self.int_scaling_impl(bit_width)
        if self.keeps_sign:
            scale = signed_scale_from_threshold(threshold, int_range)
        else:
            scale = scale_from_threshold(threshold, int_range)
        zero_point = self.zero_point_impl(x, scale, bit_width)
        if self.fuses_activation:
            y = self.int_quant(scale, zero_point, bit_width, x, lo, hi)
        else:
            y = self.int_quant(scale, zero_point, bit_width, activated(x, lo, hi))
        return y, scale, zero_point, bit_width
