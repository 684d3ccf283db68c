"""Integer quantization with a zero point between two integers."""

import torch
from torch import Tensor

from qat import jit
from qat.components.quant.int import IntQuant
from qat.ops import (
    NO_BOUNDS,
    Bounds,
    IntGrid,
    activated,
    arithmetic_dtype,
    int_fake_quantize,
    result_dtype,
)


class RealZeroPointIntQuant(IntQuant):
    """:class:`IntQuant` for any real zero point: ``q = clamp(float_to_int(x / scale + z))``.

    Where the zero point is an integer that is the same but for ties. 0.0 is then no number of the
    grid, as ``y = (q - z) * scale`` says. Arguments and gradients are those of :class:`IntQuant`.

    With the default parts it is the same op: ``z`` is an integer plus a fraction, and the fraction
    moves the tensor.
    """

    @jit.script_method
    def from_steps(self, steps: Tensor, zero_point: Tensor, bit_width: Tensor) -> Tensor:
        """The integers ``q`` as floats, for ``steps = x / scale``."""
        q = self.float_to_int_impl(steps + zero_point)
        return self.tensor_clamp_impl(q, self.min_int(bit_width), self.max_int(bit_width))

    def forward(
        self,
        scale: Tensor,
        zero_point: Tensor,
        bit_width: Tensor,
        x: Tensor,
        bounds: Bounds = NO_BOUNDS,
    ) -> Tensor:
        x = activated(x, bounds)
        if self.fused:
            whole = torch.round(zero_point.detach())
            shift = (zero_point - whole) * scale
            moved = x.to(arithmetic_dtype(x, scale)) + shift
            grid = IntGrid(whole, bit_width, self.signed, self.narrow_range)
            y = int_fake_quantize(moved, scale, grid, self.clipped)
            return (y - shift).to(result_dtype(x, scale))
        return self.delay_wrapper(x, self._composed(scale, zero_point, bit_width, x))
