"""Unsigned quantization up to a bound that learns from the clipping."""

from typing import Optional, Tuple

from torch import Tensor, nn

from qat import jit
from qat.components.buffers import scalar
from qat.components.delay import DelayWrapper
from qat.components.scaling.base import check_positive
from qat.components.scaling.int_scaling import IntScaling
from qat.ops import NO_BOUNDS, Bounds, activated, pact_fake_quantize, scale_from_threshold


class PACTQuant(jit.ScriptModule):
    """``y = clamp(round(x / scale), 0, n) * scale``, ``scale = bound / n``, ``n = 2**bits - 1``.

    Args:
        scaling_impl: called with ``x``, gives the bound ``alpha``, positive.
        bit_width_impl: called without argument.
        quant_delay_steps: training calls before quantization starts.
    Returns:
        ``(y, scale, zero_point, bit_width)`` with zero point 0.
    Gradient: to ``x`` that of the identity where ``0 < x < alpha``, else 0; to ``alpha``, summed,
    1 where ``x >= alpha``, else 0.

    The values are those of an unsigned integer quantizer; that one's scale is moved by the rounding
    errors inside as well (LSQ), this one's by what is clipped alone. An activation function in
    front (``bounds``) is taken in: a ReLU costs nothing.

    Source: PACT, arXiv:1805.06085, eq. 1 to 3. The L2 penalty on ``alpha`` that belongs to it is a
    weight decay on the learned scales, which the optimizer is told.
    """

    __constants__ = ["fuses_activation"]

    def __init__(
        self, scaling_impl: nn.Module, bit_width_impl: nn.Module, quant_delay_steps: int = 0
    ) -> None:
        super().__init__()
        check_positive(scaling_impl, self)
        self.scaling_impl = scaling_impl
        self.int_scaling_impl = IntScaling(signed=False, narrow_range=False)
        self.msb_clamp_bit_width_impl = bit_width_impl
        self.zero_point = scalar(0.0)
        self.delay_wrapper = DelayWrapper(quant_delay_steps)
        self.fuses_activation = not self.delay_wrapper.waits

    def forward(
        self,
        x: Tensor,
        bounds: Bounds = NO_BOUNDS,
        observed: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        bit_width = self.msb_clamp_bit_width_impl()
        qmax = self.int_scaling_impl(bit_width)
        bound = self.scaling_impl(x if observed is None else observed)
        scale = scale_from_threshold(bound, qmax)
        lo = bounds.lo
        if bounds.hi is not None or (lo is not None and lo > 0.0):
            x = activated(x, bounds)
        y = pact_fake_quantize(x, bound, scale.detach(), qmax)
        return self.delay_wrapper(x, y), scale, self.zero_point(), bit_width
