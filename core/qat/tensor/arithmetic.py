"""Sums, differences and products of quantized tensors.

Integer arithmetic, in formats wide enough never to overflow.

The value is the function of the values; scale, zero point and bit width describe the integers that
belong to it. A sum needs one scale, as its terms are counted in the same step. The rest needs
nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qat.tensor.dispatch import HANDLERS, Quantized, has_grid
from qat.tensor.grid import (
    bounds,
    distances,
    fit,
    one_dtype,
    same,
    training_of,
    wide,
    zero_point_like,
)


def add(input: Any, other: Any, *, alpha: Any = 1, **kwargs: Any) -> Any:
    """``q = q1 + q2``, ``z = z1 + z2``, the scale of both; adding the number 0 changes nothing."""
    if kwargs or alpha != 1:
        return None
    if _is_zero(other):
        return _copy(input)
    return _copy(other) if _is_zero(input) else _sum(input, other, 1)


def sub(input: Any, other: Any, *, alpha: Any = 1, **kwargs: Any) -> Any:
    """``q = q1 - q2``, ``z = z1 - z2``, signed, the scale of both; ``0 - x`` is ``-x``."""
    if kwargs or alpha != 1:
        return None
    if _is_zero(other):
        return _copy(input)
    return neg(other) if _is_zero(input) else _sum(input, other, -1)


def _sum(a: Any, b: Any, sign: int) -> Any:
    """``a + sign * b``, or None where the two have no scale in common."""
    if not _one_scale(a, b):
        return None
    (low, high), others = _range(a), _range(b)
    other_low, other_high = others if sign > 0 else (-others[1], -others[0])
    return _result(
        a,
        b,
        value=a.value + b.value if sign > 0 else a.value - b.value,
        zero_point=wide(a.zero_point) + sign * wide(b.zero_point),
        limits=(low + other_low, high + other_high),
        signed=a.signed or b.signed or sign < 0,
    )


def rsub(input: Any, other: Any, *, alpha: Any = 1, **kwargs: Any) -> Any:
    """``other - input``."""
    return sub(other, input, alpha=alpha, **kwargs)


def mul(input: Any, other: Any, **kwargs: Any) -> Any:
    """``q = (q1 - z1) * (q2 - z2)``, zero point 0, product of the scales; a number rescales.

    Two unsigned factors with zero points give an unsigned product, moved up by a zero point of its
    own.
    """
    if kwargs:
        return None
    if not isinstance(other, Quantized):
        return _rescale(input, other)
    if not isinstance(input, Quantized):
        return _rescale(other, input)
    if not (has_grid(input) and has_grid(other) and one_dtype([input, other])):
        return None
    (low1, high1), (low2, high2) = distances(input), distances(other)
    corners = torch.stack([low1 * low2, low1 * high2, high1 * low2, high1 * high2])
    scale = input.scale * other.scale
    return _result(
        input,
        other,
        value=input.value * other.value,
        zero_point=torch.zeros_like(low1),
        limits=(corners.amin(), corners.amax()),
        signed=input.signed or other.signed,
    ).set(scale=scale)


def div(input: Any, other: Any, **kwargs: Any) -> Any:
    """Divide by a number other than 0: a change of scale."""
    if kwargs or not _can_rescale(input, other):
        return None
    x = input if other > 0 else neg(input)
    return x.set(value=input.value / other, scale=input.scale / abs(other))


def neg(input: Any, **kwargs: Any) -> Any:
    """``-q``, zero point ``-z``, signed, one bit wider: the lowest integer has its opposite."""
    if kwargs or not has_grid(input):
        return None
    return input.set(
        value=-input.value,
        zero_point=0 - input.zero_point,  # gives 0, not -0
        bit_width=input.bit_width + 1,
        signed=True,
    )


def absolute(input: Any, **kwargs: Any) -> Any:
    """``|q - z|`` with the zero point 0, unsigned."""
    if kwargs or not has_grid(input):
        return None
    low, high = distances(input)
    bit_width, _ = fit(torch.zeros_like(low), torch.maximum(low.abs(), high.abs()), signed=False)
    return input.set(
        value=input.value.abs(),
        scale=input.scale.abs(),  # a negative one mirrors the grid
        zero_point=torch.zeros_like(input.zero_point),
        bit_width=bit_width.to(input.bit_width.dtype),
        signed=False,
    )


def _range(x: Any) -> tuple[Tensor, Tensor]:
    low, high = bounds(x.bit_width, x.signed)
    return low.amin(), high.amax()


def _result(
    a: Any,
    b: Any,
    *,
    value: Tensor,
    zero_point: Tensor,
    limits: tuple[Tensor, Tensor],
    signed: bool,
) -> Any:
    bit_width, shift = fit(*limits, signed)
    return a.set(
        value=value,
        scale=a.scale,
        zero_point=zero_point_like(a.zero_point, zero_point + shift),
        bit_width=bit_width.to(a.bit_width.dtype),
        signed=signed,
        training=training_of([a, b]),
    )


def _rescale(x: Any, factor: Any) -> Any:
    if not _can_rescale(x, factor):
        return None
    moved = x if factor > 0 else neg(x)
    return moved.set(value=x.value * factor, scale=x.scale * abs(factor))


def _can_rescale(x: Any, factor: Any) -> bool:
    # beyond this, and always in float16, a scale may leave the normal numbers and lose its digits
    moderate = isinstance(factor, (int, float)) and 2**-32 <= abs(factor) <= 2**32
    return moderate and has_grid(x) and x.value.dtype != torch.float16


def _one_scale(a: Any, b: Any) -> bool:
    return has_grid(a) and has_grid(b) and one_dtype([a, b]) and same(a.scale, b.scale)


def _copy(x: Any) -> Any:
    """``x`` in storage of its own: writing into a sum must not change what was added."""
    return x.set(value=x.value.clone())


def _is_zero(x: Any) -> bool:
    return isinstance(x, (int, float)) and x == 0


HANDLERS.update(dict.fromkeys((torch.add, Tensor.add), add))
HANDLERS.update(dict.fromkeys((torch.sub, Tensor.sub, torch.subtract, Tensor.subtract), sub))
HANDLERS[torch.rsub] = rsub
HANDLERS.update(dict.fromkeys((torch.mul, Tensor.mul, torch.multiply, Tensor.multiply), mul))
HANDLERS.update(dict.fromkeys((torch.div, Tensor.div, torch.divide, Tensor.divide), div))
HANDLERS.update(dict.fromkeys((torch.neg, Tensor.neg, torch.negative, Tensor.negative), neg))
HANDLERS.update({torch.abs: absolute, Tensor.abs: absolute})
HANDLERS.update({torch.absolute: absolute, Tensor.absolute: absolute})
