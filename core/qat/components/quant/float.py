"""Minifloat quantization: numbers of few exponent and mantissa bits, times a scale."""

from typing import Optional, Tuple

import torch
from torch import Tensor, nn

from qat import jit
from qat.components.bit_width import BitWidthConst
from qat.components.buffers import scalar
from qat.components.clamp import TensorClamp, TensorClampSte
from qat.components.delay import DelayWrapper
from qat.components.rounding import RoundSte
from qat.components.scaling.fixed import ConstScaling
from qat.components.stats import widened
from qat.formats import FloatFormat
from qat.ops import (
    float_fake_quantize,
    float_step,
    floor_scale,
    result_dtype,
    scalar_clamp_ste,
)
from qat.ops.minifloat import overflown


class FloatQuant(jit.ScriptModule):
    """``y = scale * clamp(round_to_grid(x / scale), -max_value, max_value)``.

    Args:
        float_format: the grid.
        scaling_impl: called with ``x``, gives the threshold; the constant 1 unless given.
        float_scaling_impl: called with the threshold, gives the scale; it is the scale where None.
        float_to_int_impl: how the mantissa is rounded; ``RoundSte()``, halves to even, unless
            given.
        tensor_clamp_impl: clamping module; ``TensorClamp()`` unless given.
        saturating: clamp to the largest number; otherwise what is rounded to more becomes infinity,
            or NaN where the format has no infinity.
        quant_delay_steps: training calls before quantization starts.
    Returns:
        ``(y, scale, zero_point, bit_width)`` with zero point 0; the scale is at least the smallest
        normal number.
    Raises:
        ValueError: not ``saturating``, and the format has neither infinity nor NaN.
    Gradient: with the default parts, to ``x`` that of the identity inside the grid and zero
    outside; to ``scale``, ``(y - x) / scale`` inside and ``y / scale`` outside.

    With ``RoundSte``, ``TensorClamp`` or ``TensorClampSte``, and no delay, all of it is one op,
    :func:`qat.ops.float_fake_quantize`, and ``fused`` is True; other parts are called one by one,
    with the same numbers.
    """

    overflow: Optional[float]

    def __init__(
        self,
        float_format: FloatFormat,
        scaling_impl: Optional[nn.Module] = None,
        float_scaling_impl: Optional[nn.Module] = None,
        float_to_int_impl: Optional[nn.Module] = None,
        tensor_clamp_impl: Optional[nn.Module] = None,
        saturating: bool = True,
        quant_delay_steps: int = 0,
    ) -> None:
        super().__init__()
        if not saturating and float_format.overflow is None:
            raise ValueError(
                f"saturating is False, but {float_format.name} has no code for infinity or NaN; "
                f"use saturating=True, or an OCP or FNUZ quantizer (Fp8e4m3OCP...)."
            )
        self.scaling_impl = ConstScaling(1.0) if scaling_impl is None else scaling_impl
        self.float_scaling_impl = (
            nn.Identity() if float_scaling_impl is None else float_scaling_impl
        )
        self.float_to_int_impl = RoundSte() if float_to_int_impl is None else float_to_int_impl
        self.tensor_clamp_impl = TensorClamp() if tensor_clamp_impl is None else tensor_clamp_impl
        self.delay_wrapper = DelayWrapper(quant_delay_steps)
        self.bit_width = BitWidthConst(float_format.bit_width)
        self.zero_point = scalar(0.0)
        self.mantissa_bits = float_format.mantissa_bits
        self.min_exponent = float_format.min_exponent
        self.lowest = float_format.min_value
        self.highest = float_format.max_value
        self.overflow = None if saturating else float_format.overflow
        clamp = type(self.tensor_clamp_impl)
        self.clipped = clamp is not TensorClampSte
        self.fused = (
            type(self.float_to_int_impl) is RoundSte
            and clamp in (TensorClamp, TensorClampSte)
            and not self.delay_wrapper.waits
        )

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        scale = self.scale_of(x)
        if self.fused:
            y = float_fake_quantize(
                x,
                scale,
                self.mantissa_bits,
                self.min_exponent,
                self.lowest,
                self.highest,
                self.overflow,
                self.clipped,
            )
        else:
            y = self.delay_wrapper(x, self._composed(x, scale))
        return y, scale, self.zero_point(), self.bit_width()

    def scale_of(self, x: Tensor) -> Tensor:
        """The scale that ``x`` is quantized with."""
        return floor_scale(self.float_scaling_impl(self.scaling_impl(x)))

    def _composed(self, x: Tensor, scale: Tensor) -> Tensor:
        wide_scale = widened(scale)  # once: in half precision the sum of two gradients is lost
        # What lies further out than the next power of two need not be told apart.
        limit = 2.0 * self.highest
        near = scalar_clamp_ste(widened(x) / wide_scale, -limit, limit)
        step = float_step(near, self.mantissa_bits, self.min_exponent)
        free = self.float_to_int_impl(near / step) * step
        lowest = torch.full([], self.lowest, dtype=free.dtype, device=free.device)
        highest = torch.full([], self.highest, dtype=free.dtype, device=free.device)
        q = self.tensor_clamp_impl(free, lowest, highest)
        overflow = self.overflow
        if overflow is not None:
            q = overflown(q, free, self.lowest, self.highest, overflow)
        return (q * wide_scale).to(result_dtype(x, scale))
