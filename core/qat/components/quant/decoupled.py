"""Integer quantization with one scale before and another behind the rounding."""

from typing import Tuple

from torch import Tensor, nn

from qat import jit
from qat.components.quant.int import IntArithmetic
from qat.components.scaling.base import check_positive
from qat.components.stats import widened
from qat.ops import scalar_clamp_min_ste, scale_from_threshold, smallest_normal


class DecoupledIntQuant(IntArithmetic):
    """Fake quantization by two scales: ``y = (q - zero_point) * scale``.

    ``q = clamp(float_to_int(x / pre_scale + pre_zero_point), qmin, qmax)``. Called ``(pre_scale,
    pre_zero_point, scale, zero_point, bit_width, x)``; all broadcastable to ``x``, returned in its
    shape and dtype. Integers are found in float32 at least.

    Args: those of :class:`qat.components.quant.int.IntArithmetic`.
    Gradient: that of the formula, straight through the rounding.
    """

    @jit.script_method
    def to_int(
        self, pre_scale: Tensor, pre_zero_point: Tensor, bit_width: Tensor, x: Tensor
    ) -> Tensor:
        """The integers ``q`` as floats, at least float32, in the shape of ``x``."""
        q = self.float_to_int_impl(widened(x) / pre_scale + pre_zero_point)
        bits = widened(bit_width)
        return self.tensor_clamp_impl(q, self.min_int(bits), self.max_int(bits))

    def forward(
        self,
        pre_scale: Tensor,
        pre_zero_point: Tensor,
        scale: Tensor,
        zero_point: Tensor,
        bit_width: Tensor,
        x: Tensor,
    ) -> Tensor:
        q = self.to_int(pre_scale, pre_zero_point, bit_width, x)
        y = ((q - zero_point) * scale).to(x.dtype)
        return self.delay_wrapper(x, y)


class DecoupledRescalingIntQuant(jit.ScriptModule):
    """Integer quantizer that finds its own two scales, see :class:`DecoupledIntQuant`.

    Args:
        decoupled_int_quant: arithmetic on the grid.
        pre_scaling_impl: called ``(x, scale, int_range)``, gives the scale in front of the
            rounding.
        scaling_impl: called with ``x``, gives the threshold whose ``int_range``-th part is the
            scale behind the rounding.
        int_scaling_impl: called with the bit width, gives ``int_range``.
        pre_zero_point_impl: called ``(x, pre_scale, bit_width)``.
        zero_point_impl: called ``(x, scale, bit_width)``.
        bit_width_impl: called without argument.
    Returns:
        ``(y, scale, zero_point, bit_width)``.
    """

    def __init__(
        self,
        decoupled_int_quant: nn.Module,
        pre_scaling_impl: nn.Module,
        scaling_impl: nn.Module,
        int_scaling_impl: nn.Module,
        pre_zero_point_impl: nn.Module,
        zero_point_impl: nn.Module,
        bit_width_impl: nn.Module,
    ) -> None:
        super().__init__()
        self.decoupled_int_quant = decoupled_int_quant
        self.pre_scaling_impl = pre_scaling_impl
        check_positive(scaling_impl, self)
        self.scaling_impl = scaling_impl
        self.int_scaling_impl = int_scaling_impl
        self.pre_zero_point_impl = pre_zero_point_impl
        self.zero_point_impl = zero_point_impl
        self.msb_clamp_bit_width_impl = bit_width_impl

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        bit_width, int_range, scale = self._grid(x)
        pre_scale = self.pre_scaling_impl(widened(x), widened(scale), widened(int_range))
        return self._quantized(x, pre_scale, scale, bit_width)

    def _grid(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Bit width, integer range and scale."""
        bit_width = self.msb_clamp_bit_width_impl()
        int_range = self.int_scaling_impl(bit_width)
        return bit_width, int_range, scale_from_threshold(self.scaling_impl(x), int_range)

    def _quantized(
        self, x: Tensor, pre_scale: Tensor, scale: Tensor, bit_width: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        # As for any scale, and so that the quotient of both scales stays within the dtype.
        pre_scale = scalar_clamp_min_ste(pre_scale, smallest_normal(x))
        pre_zero_point = self.pre_zero_point_impl(widened(x), pre_scale, bit_width)
        zero_point = self.zero_point_impl(x, scale, bit_width)
        y = self.decoupled_int_quant(pre_scale, pre_zero_point, scale, zero_point, bit_width, x)
        return y, scale, zero_point, bit_width


class DecoupledRescalingIntQuantWithInput(DecoupledRescalingIntQuant):
    """:class:`DecoupledRescalingIntQuant` of a weight, by what the layer's input is quantized to.

    Called ``(x, input_bit_width, input_is_signed)``; ``pre_scaling_impl`` is called ``(x, scale,
    int_range, input_bit_width, input_is_signed)``. A weight proxy sees ``requires_quant_input`` and
    hands both over.
    """

    __constants__ = ["requires_quant_input"]
    requires_quant_input = True

    def forward(  # type: ignore[override]
        self, x: Tensor, input_bit_width: Tensor, input_is_signed: bool
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        bit_width, int_range, scale = self._grid(x)
        pre_scale = self.pre_scaling_impl(
            widened(x), widened(scale), widened(int_range), input_bit_width, input_is_signed
        )
        return self._quantized(x, pre_scale, scale, bit_width)
