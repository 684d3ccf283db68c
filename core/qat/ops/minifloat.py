"""Minifloat quantizer in one op: divide, round to a grid, clamp, multiply.

In one piece for its gradient, with one tensor saved, its input, as the integer quantizers of
:mod:`qat.ops.fake_quantize` are. There is no kernel of its own: the same torch ops run on every
backend and device. TorchScript, which cannot read the bits of a float, calls the registered ops.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qat.ops.dtypes import arithmetic_dtype, result_dtype
from qat.ops.table import op


def next_power_of_two(max_value: float) -> float:
    """The power of two above ``max_value``: what lies beyond need not be told apart."""
    return float(2.0 ** math.frexp(max_value)[1])


@op("float_step(Tensor v, int mantissa_bits, int min_exponent) -> Tensor", native=False)
def float_step(v: Tensor, mantissa_bits: int, min_exponent: int) -> Tensor:
    """``2**(max(floor(log2 |v|), min_exponent) - mantissa_bits)``, exact.

    Multiples of it are the numbers with ``mantissa_bits`` of the binade of ``v``; below
    ``2**min_exponent``, and at zero, the subnormal ones.

    Args:
        v: float32 or float64, any shape, finite.
        mantissa_bits: at least 0.
        min_exponent: that of the smallest normal number.
    Returns:
        A power of two, same shape and dtype as ``v``; infinity where ``v`` is infinity or NaN.
    Gradient: none.

    >>> float_step(torch.tensor([0.0, 0.9, 1.0, 7.9]), 1, 0)
    tensor([0.5000, 0.5000, 0.5000, 2.0000])
    """
    # The exponent bits alone are 2**floor(log2 |v|), with none of a logarithm's rounding.
    bits = v.detach()
    if v.dtype == torch.float64:
        exponents = torch.bitwise_and(bits.view(torch.int64), 0x7FF0000000000000)
        power = exponents.view(torch.float64)
    else:
        exponents = torch.bitwise_and(bits.view(torch.int32), 0x7F800000)
        power = exponents.view(torch.float32)
    return torch.clamp(power, min=2.0**min_exponent) * 2.0 ** (-mantissa_bits)


def _on_free_grid(
    x: Tensor, scale: Tensor, mantissa_bits: int, min_exponent: int, max_value: float
) -> tuple[Tensor, Tensor]:
    """``x / scale``, and its rounding to a grid that goes on beyond the largest number."""
    is_wide = arithmetic_dtype(x, scale) == torch.float64
    wide = torch.float64 if is_wide else torch.float32  # of half types too
    v = x.to(wide) / scale.to(wide)
    limit = next_power_of_two(max_value)
    near = torch.clamp(v, -limit, limit)
    step = float_step(near, mantissa_bits, min_exponent)
    return v, torch.round(near / step).mul_(step)


class FloatFakeQuantizeFn(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        mantissa_bits: int,
        min_exponent: int,
        min_value: float,
        max_value: float,
        overflow: float | None,
        clipped: bool,
    ) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.grid = mantissa_bits, min_exponent, max_value
        ctx.min_value, ctx.overflow, ctx.clipped = min_value, overflow, clipped
        _, free = _on_free_grid(x, scale, *ctx.grid)
        q = torch.clamp(free, min_value, max_value)
        if overflow is not None:
            q = overflown(q, free, min_value, max_value, overflow)
        return q.mul_(scale).to(result_dtype(x, scale))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale = ctx.saved_tensors
        v, free = _on_free_grid(x, scale, *ctx.grid)
        max_value = ctx.grid[-1]
        q = torch.clamp(free, ctx.min_value, max_value)
        stops = q != free  # NaN stops as well
        to_x = to_scale = None
        if ctx.needs_input_grad[0]:
            passed = grad.masked_fill(stops, 0.0) if ctx.clipped else grad
            to_x = passed.to(x.dtype).sum_to_size(x.shape)
        if ctx.needs_input_grad[1]:
            if ctx.clipped:
                v = v.masked_fill(stops, 0.0)
            per_step = q - v
            if ctx.overflow is not None:
                per_step = per_step.masked_fill(free.abs() > max_value, 0.0)
            to_scale = (per_step * grad).sum_to_size(scale.shape).to(scale.dtype)
        return to_x, to_scale, None, None, None, None, None, None


def overflown(
    q: Tensor, free: Tensor, min_value: float, max_value: float, overflow: float
) -> Tensor:
    """``q`` with ``+-overflow`` where ``free`` is beyond the largest number."""
    q = torch.where(free > max_value, overflow, q)
    return torch.where(free < min_value, -overflow, q) if min_value < 0.0 else q


@op(
    "float_fake_quantize(Tensor x, Tensor scale, int mantissa_bits, int min_exponent, "
    "float min_value, float max_value, float? overflow, bool clipped) -> Tensor",
    native=False,
)
def float_fake_quantize(
    x: Tensor,
    scale: Tensor,
    mantissa_bits: int,
    min_exponent: int,
    min_value: float,
    max_value: float,
    overflow: float | None,
    clipped: bool,
) -> Tensor:
    """``y = scale * clamp(round_to_grid(x / scale), min_value, max_value)``.

    The grid is that of :func:`qat.ops.float_step`: ``mantissa_bits`` after the leading one, down to
    the exponent ``min_exponent``, and subnormal numbers below; halves go to the even one. Float16
    and bfloat16 are computed in float32.

    Args:
        x: float, any shape.
        scale: float, positive, broadcastable to ``x``.
        mantissa_bits, min_exponent, min_value, max_value: the format, see
            :class:`qat.formats.FloatFormat`.
        overflow: what becomes of what is rounded to a number beyond the largest: infinity (with the
            sign of ``x``) or NaN; None saturates, infinities included.
        clipped: whether the gradient of ``x`` stops there; otherwise it goes straight through.
    Returns:
        Shape of ``x``, and its dtype or the wider one of a ``scale`` of one dimension or more. Zero
        stays zero, NaN stays NaN.
    Gradient: to ``x`` that of the identity (zero where clipped). To ``scale``, summed:
        ``y / scale - x / scale``, and ``y / scale`` where clipped, none where it overflows to
        infinity or NaN.

    >>> x, one = torch.tensor([0.3, 1.25, 2.4, 9.0]), torch.tensor(1.0)
    >>> float_fake_quantize(x, one, 1, 0, -6.0, 6.0, None, True)  # E2M1
    tensor([0.5000, 1.0000, 2.0000, 6.0000])
    """
    return FloatFakeQuantizeFn.apply(
        x, scale, mantissa_bits, min_exponent, min_value, max_value, overflow, clipped
    )
