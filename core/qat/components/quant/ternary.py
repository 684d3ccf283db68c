"""Ternary quantization: zero near zero, otherwise the sign."""

from typing import Optional, Tuple

from torch import Tensor, nn

from qat import jit
from qat.components.bit_width import BitWidthConst
from qat.components.buffers import scalar
from qat.components.delay import DelayWrapper
from qat.components.scaling.base import check_positive
from qat.ops import (
    NO_BOUNDS,
    Bounds,
    activated,
    arithmetic_dtype,
    floor_scale,
    result_dtype,
    ternary_fake_quantize,
    ternary_sign_ste,
)


class TernaryQuant(jit.ScriptModule):
    """``y = sign(x) * scale`` where ``|x| > threshold * scale``, else 0.

    Args:
        scaling_impl: called with ``x``, gives the scale.
        threshold: width of the zero zone in scales, from 0 on; with 1 and more, what is not zero
            lies beyond the scale.
        quant_delay_steps: training calls before quantization starts.
    Returns:
        ``(y, scale, zero_point, bit_width)`` with zero point 0 and bit width 2.
    Raises:
        ValueError: ``threshold`` below 0 or no finite number.

    Without a delay the value is one op, :func:`qat.ops.ternary_fake_quantize`. ``bounds`` are
    those of an activation function in front; the scale is then found from ``observed``.

    Gradient: to ``x`` that of the identity times ``scale`` where ``y`` is not 0, else zero.
    """

    def __init__(
        self, scaling_impl: nn.Module, threshold: float, quant_delay_steps: int = 0
    ) -> None:
        super().__init__()
        if not 0.0 <= threshold < float("inf"):
            raise ValueError(f"threshold is {threshold}; it must be a number from 0 on.")
        check_positive(scaling_impl, self)
        self.scaling_impl = scaling_impl
        self.bit_width = BitWidthConst(2)
        self.zero_point = scalar(0.0)
        self.delay_wrapper = DelayWrapper(quant_delay_steps)
        self.threshold = float(threshold)
        self.fused = self.fuses_activation = not self.delay_wrapper.waits

    def forward(
        self,
        x: Tensor,
        bounds: Bounds = NO_BOUNDS,
        observed: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        scale = floor_scale(self.scaling_impl(x if observed is None else observed))
        if self.fused:
            y = ternary_fake_quantize(x, scale, self.threshold, bounds)
        else:
            x = activated(x, bounds)
            y = self.delay_wrapper(x, self._composed(x, scale))
        return y, scale, self.zero_point(), self.bit_width()

    def _composed(self, x: Tensor, scale: Tensor) -> Tensor:
        wide = x.to(arithmetic_dtype(x, scale))
        zero = wide.abs() <= self.threshold * scale
        y = ternary_sign_ste(wide).masked_fill(zero, 0.0) * scale
        return y.to(result_dtype(x, scale))
