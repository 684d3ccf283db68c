"""Arithmetic on an integer grid: divide, round, clamp, multiply."""

from typing import Any, Optional

import torch
from torch import Tensor, nn

from qat import jit
from qat.components.clamp import TensorClamp, TensorClampSte
from qat.components.delay import DelayWrapper
from qat.components.rounding import RoundSte
from qat.components.stats import widened
from qat.ops import (
    NO_BOUNDS,
    Bounds,
    IntGrid,
    activated,
    arithmetic_dtype,
    int_fake_quantize,
    max_int,
    min_int,
    result_dtype,
)


class IntArithmetic(nn.Module):
    """The parts of arithmetic on an integer grid, and the bounds of the grid.

    Args:
        narrow_range: drop the most negative value (signed) or the largest one (unsigned).
        signed: grid from ``-2**(b-1)``, or from 0.
        float_to_int_impl: rounding module; ``RoundSte()`` (halves to even) unless given.
        tensor_clamp_impl: clamping module; ``TensorClamp()`` unless given.
        quant_delay_steps: training calls before quantization starts.
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
    def min_int(self, bit_width: Tensor) -> Tensor:
        """Smallest integer of the grid."""
        return min_int(self.signed, self.narrow_range, bit_width)

    @jit.script_method
    def max_int(self, bit_width: Tensor) -> Tensor:
        """Largest integer of the grid."""
        return max_int(self.signed, self.narrow_range, bit_width)


class IntQuant(IntArithmetic):
    """Fake quantization on a given grid: ``y = (q - zero_point) * scale``.

    ``q = clamp(float_to_int(x / scale) + zero_point, qmin, qmax)``. Called
    ``(scale, zero_point, bit_width, x)``; all broadcastable to ``x``, returned in its shape.

    Args: those of :class:`IntArithmetic`.
    Gradient: with the default parts, to ``x`` that of the identity inside the grid and zero
    outside; to ``scale``, ``q - x / scale`` inside and ``q`` outside (LSQ, arXiv:1902.08153,
    eq. 3).

    With ``RoundSte``, ``TensorClamp`` or ``TensorClampSte``, and no delay, all of it is one op,
    :func:`qat.ops.int_fake_quantize`, and ``fused`` is True; other parts are called one by one,
    with the same integers. ``bounds`` are those of an activation function in front.
    """

    fused: bool
    clipped: bool

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in ("float_to_int_impl", "tensor_clamp_impl", "delay_wrapper"):
            self._choose_path()

    def _choose_path(self) -> None:
        parts = self._modules
        clamp = type(parts.get("tensor_clamp_impl"))
        delay = parts.get("delay_wrapper")
        self.clipped = clamp is not TensorClampSte
        self.fused = (
            type(parts.get("float_to_int_impl")) is RoundSte
            and clamp in (TensorClamp, TensorClampSte)
            and isinstance(delay, DelayWrapper)
            and not delay.waits
        )

    @jit.script_method
    def to_int(self, scale: Tensor, zero_point: Tensor, bit_width: Tensor, x: Tensor) -> Tensor:
        """The integers ``q`` as floats, in the shape of ``x``."""
        return self.from_steps(x / scale, zero_point, bit_width)

    @jit.script_method
    def from_steps(self, steps: Tensor, zero_point: Tensor, bit_width: Tensor) -> Tensor:
        """The integers ``q`` as floats, for ``steps = x / scale``."""
        q = self.float_to_int_impl(steps) + zero_point
        return self.tensor_clamp_impl(q, self.min_int(bit_width), self.max_int(bit_width))

    def forward(
        self,
        scale: Tensor,
        zero_point: Tensor,
        bit_width: Tensor,
        x: Tensor,
        bounds: Bounds = NO_BOUNDS,
    ) -> Tensor:
        if self.fused:
            grid = IntGrid(zero_point, bit_width, self.signed, self.narrow_range)
            return int_fake_quantize(x, scale, grid, self.clipped, bounds)
        x = activated(x, bounds)
        return self.delay_wrapper(x, self._composed(scale, zero_point, bit_width, x))

    def _composed(self, scale: Tensor, zero_point: Tensor, bit_width: Tensor, x: Tensor) -> Tensor:
        # Widened once: the gradients of quotient and product to a scale in half precision overflow,
        # and what is left of their sum is lost.
        wide_scale = widened(scale)
        steps = _rounded_to(arithmetic_dtype(x, scale), widened(x) / wide_scale)
        q = self.from_steps(steps, zero_point, bit_width)
        return ((q - zero_point) * wide_scale).to(result_dtype(x, scale))


def _rounded_to(dtype: torch.dtype, x: Tensor) -> Tensor:
    """``x`` with the values of ``dtype``, straight through: its gradient stays wide."""
    if x.dtype == dtype:
        return x
    exact = x.detach()
    change = exact.to(dtype).to(x.dtype) - exact  # NaN for an infinity that stays one
    return x + torch.nan_to_num(change, 0.0, float("inf"), -float("inf"))
