"""Uniform integer quantization."""

from typing import Optional, Tuple

from torch import Tensor, nn

from qat import jit
from qat.components.clamp import TensorClamp
from qat.components.delay import DelayWrapper
from qat.components.rounding import RoundSte
from qat.components.stateless import scalar
from qat.ops import floor_scale, max_int, min_int


class IntQuant(nn.Module):
    """Fake quantization on a given grid: ``y = (q - zero_point) * scale``.

    ``q = clamp(float_to_int(x / scale) + zero_point, qmin, qmax)``. Called
    ``(scale, zero_point, bit_width, x)``; all broadcastable to ``x``, returned in its shape.

    Args:
        narrow_range: drop the most negative value (signed) or the largest one (unsigned).
        signed: grid from ``-2**(b-1)``, or from 0.
        float_to_int_impl: rounding module; ``RoundSte()`` (halves to even) unless given.
        tensor_clamp_impl: clamping module; ``TensorClamp()`` unless given.
        quant_delay_steps: training calls before quantization starts.
    Gradient: with the default parts, to ``x`` that of the identity inside the grid and zero
    outside; to ``scale``, ``q - x / scale`` inside and ``q`` outside (LSQ, arXiv:1902.08153,
    eq. 3).
    """

    def __init__(
        self,
        narrow_range: bool,
        signed: bool,
        float_to_int_impl: Optional[nn.Module] = None,
        tensor_clamp_impl: Optional[nn.Module] = None,
        quant_delay_steps: int = 0,
    ) -> None:
        super().__init__()
        self.float_to_int_impl = RoundSte() if float_to_int_impl is None else float_to_int_impl
        self.tensor_clamp_impl = TensorClamp() if tensor_clamp_impl is None else tensor_clamp_impl
        self.delay_wrapper = DelayWrapper(quant_delay_steps)
        self.signed = signed
        self.narrow_range = narrow_range

    @jit.script_method
    def to_int(self, scale: Tensor, zero_point: Tensor, bit_width: Tensor, x: Tensor) -> Tensor:
        """The integers ``q`` as floats, in the shape of ``x``."""
        q = self.float_to_int_impl(x / scale) + zero_point
        return self.tensor_clamp_impl(q, self.min_int(bit_width), self.max_int(bit_width))

    @jit.script_method
    def min_int(self, bit_width: Tensor) -> Tensor:
        """Smallest integer of the grid."""
        return min_int(self.signed, self.narrow_range, bit_width)

    @jit.script_method
    def max_int(self, bit_width: Tensor) -> Tensor:
        """Largest integer of the grid."""
        return max_int(self.signed, self.narrow_range, bit_width)

    def forward(self, scale: Tensor, zero_point: Tensor, bit_width: Tensor, x: Tensor) -> Tensor:
        q = self.to_int(scale, zero_point, bit_width, x)
        y = (q - zero_point) * scale
        return self.delay_wrapper(x, y)


class RescalingIntQuant(jit.ScriptModule):
    """Integer quantizer that finds its own scale: ``scale = threshold / integer range``.

    Args:
        int_quant: arithmetic on the grid.
        scaling_impl: called with ``x``, gives the threshold.
        int_scaling_impl: called with the bit width, gives the integer range.
        zero_point_impl: called ``(x, scale, bit_width)``.
        bit_width_impl: called without argument.
    Returns:
        ``(y, scale, zero_point, bit_width)``; the scale is at least the smallest normal number.
    """

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

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        bit_width = self.msb_clamp_bit_width_impl()
        threshold = self.scaling_impl(x)
        scale = floor_scale(threshold / self.int_scaling_impl(bit_width))
        zero_point = self.zero_point_impl(x, scale, bit_width)
        y = self.int_quant(scale, zero_point, bit_width, x)
        return y, scale, zero_point, bit_width


class PrescaledRestrictIntQuant(jit.ScriptModule):
    """Integer quantizer for a given scale, as a bias has it; called ``(x, scale)``.

    Args:
        int_quant: arithmetic on the grid.
        bit_width_impl: called without argument.
    Returns:
        ``(y, scale, zero_point, bit_width)`` with zero point 0.
    """

    def __init__(self, int_quant: nn.Module, bit_width_impl: nn.Module) -> None:
        super().__init__()
        self.int_quant = int_quant
        self.msb_clamp_bit_width_impl = bit_width_impl
        self.zero_point = scalar(0.0)

    def forward(self, x: Tensor, scale: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        bit_width = self.msb_clamp_bit_width_impl()
        scale = floor_scale(scale)
        zero_point = self.zero_point()
        y = self.int_quant(scale, zero_point, bit_width, x)
        return y, scale, zero_point, bit_width
