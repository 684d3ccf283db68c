"""Integer quantizers for a given scale: of a bias or accumulator."""

from typing import Optional, Tuple

from torch import Tensor, nn

from qat import jit
from qat.components.buffers import scalar
from qat.ops import nonzero_scale, round_ste


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
        scale = nonzero_scale(scale)
        zero_point = self.zero_point()
        y = self.int_quant(scale, zero_point, bit_width, x)
        return y, scale, zero_point, bit_width


class PrescaledRestrictIntQuantWithInputBitWidth(PrescaledRestrictIntQuant):
    """Integer quantizer for a given scale, with a bit width that follows from the input's.

    Called ``(x, scale, input_bit_width)``, and with the zero point of ``x`` where it has one. With
    ``x`` on that scale nothing is rounded: ``q = clamp(x / scale + zero_point, qmin, qmax)``.

    Args:
        int_quant: arithmetic on the grid.
        bit_width_impl: called with the input's bit width, gives that of the output; rounded to
            whole bits, straight through, where it is learned.
    Returns:
        ``(y, scale, zero_point, bit_width)``; the zero point is the one given, or 0.
    """

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        scale: Tensor,
        input_bit_width: Tensor,
        zero_point: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        bit_width = round_ste(self.msb_clamp_bit_width_impl(input_bit_width))
        scale = nonzero_scale(scale)
        if zero_point is None:
            zero_point = self.zero_point()
        y = self.int_quant(scale, zero_point, bit_width, x)
        return y, scale, zero_point, bit_width
