"""Interval arithmetic on grids: bounds, width, tolerance.

A grid is the set of reals ``(q - zero_point) * scale`` for the integers ``q`` from ``qmin`` to
``qmax``. Signed grids of one bit are binary, ``q`` is -1 or +1; every other one is the usual two's
complement or unsigned range. Operations on grids are interval arithmetic: compute the range of the
resulting integers, then ask ``fit`` for the format that holds it. Everything here is computed with
tensors and, but for ``is_on_grid``, ``is_on_float_grid`` and ``same``, without looking at their
entries, so that it can be traced.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from qat.formats import FloatFormat
from qat.ops import ceil_ste, float_step, max_int, min_int


def wide(x: Tensor) -> Tensor:
    """``x`` in float64, which holds integers of 53 bits (float32 on devices without it)."""
    return x.to(torch.float32 if x.device.type == "mps" else torch.float64)


def bounds(bit_width: Tensor, signed: bool) -> tuple[Tensor, Tensor]:
    """Smallest and largest integer of a format.

    ``-2**(b-1), 2**(b-1) - 1`` if signed, but -1 and +1 for one bit; ``0, 2**b - 1`` if unsigned.

    Args:
        bit_width: float, any shape, >= 1.
        signed: whether one of the bits is a sign.
    Returns:
        ``qmin, qmax``, float64, the shape of ``bit_width``.
    """
    bits = wide(bit_width)
    low, high = min_int(signed, False, bits), max_int(signed, False, bits)
    return low, torch.where(bits == 1, -low, high) if signed else high


def fit(low: Tensor, high: Tensor, signed: bool) -> tuple[Tensor, Tensor]:
    """The narrowest format that holds the integers from ``low`` to ``high``.

    An unsigned format cannot hold a negative ``low``; the integers and their zero point are then to
    be moved up together.

    Args:
        low, high: integer-valued float, any shape; one format is found for all entries together.
        signed: signedness of the format.
    Returns:
        ``bit_width, shift``, 0-dimensional: ``[low + shift, high + shift]`` is inside the format;
        ``shift`` is zero if signed or if ``low >= 0``.
    """
    low, high = wide(low).amin(), wide(high).amax()
    if signed:
        # a lone bit means {-1, +1}: two are the least that hold an interval
        magnitude = torch.maximum(-low, high + 1).clamp(min=2)
        return ceil_ste(torch.log2(magnitude)) + 1, torch.zeros_like(low)
    shift = (-low).clamp(min=0)
    return ceil_ste(torch.log2((high + shift + 1).clamp(min=2))), shift


def integers(value: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """``value / scale + zero_point`` in float64, not rounded."""
    return wide(value) / wide(scale) + wide(zero_point)


def tolerance(value: Tensor, zero_point: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """How far ``value / scale + zero_point`` may lie from an integer, in steps.

    A value was rounded to its type when it was made, and an operation or two may have rounded it
    again: two units in the last place at the end of the range, and never less than a thousandth of
    a step. Where the type is too coarse for the range (16 bits in bfloat16) that is more than half
    a step, and integers cannot be told from what lies between.
    """
    reach = torch.maximum((low - wide(zero_point)).abs(), (high - wide(zero_point)).abs())
    epsilon = torch.finfo(value.dtype).eps if value.dtype.is_floating_point else 0.0
    return (2 * epsilon * reach).clamp(min=1e-3)


def is_on_grid(
    value: Tensor, scale: Tensor, zero_point: Tensor, bit_width: Tensor, signed: bool
) -> bool:
    """Whether every value is ``(q - zero_point) * scale`` for an integer ``q`` of the format.

    Reads the entries, so it waits for the device and cannot be traced.
    """
    if not bool(((scale != 0) & scale.isfinite()).all() & (bit_width >= 1).all()):
        return False
    low, high = bounds(bit_width, signed)
    exact = integers(value, scale, zero_point)
    slack = tolerance(value, zero_point, low, high)
    near = (exact - exact.round()).abs() <= slack
    inside = (exact >= low - slack) & (exact <= high + slack)
    if signed:
        # the middle of a binary grid is a hole
        inside = inside & ((bit_width > 1) | ((exact.abs() - 1).abs() <= slack))
    return bool((near & inside).all())


def is_on_float_grid(value: Tensor, scale: Tensor, float_format: FloatFormat) -> bool:
    """Whether every value is a number of ``float_format`` times its scale.

    To the precision of its type, two units in the last place, and never less than a thousandth of a
    step. Infinity and NaN are on the grid where the format has them. Reads the entries, so it waits
    for the device and cannot be traced.
    """
    if not bool(((scale > 0) & scale.isfinite()).all()):
        return False
    v = wide(value) / wide(scale)
    near = torch.clamp(v, 2 * float_format.min_value, 2 * float_format.max_value).nan_to_num()
    step = float_step(near, float_format.mantissa_bits, float_format.min_exponent)
    kind = torch.finfo(value.dtype)
    slack = kind.eps * (2 * near.abs() + kind.smallest_normal / wide(scale))
    slack = torch.maximum(slack, 1e-3 * step)
    on_grid = ((near / step).round() * step - near).abs() <= slack
    within = (v >= float_format.min_value - slack) & (v <= float_format.max_value + slack)
    on_grid = on_grid & within
    if float_format.special.infinity:
        on_grid = on_grid | v.isinf()
    if float_format.special.nan:
        on_grid = on_grid | v.isnan()
    return bool(on_grid.all())


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two scales (or zero points) are known to be equal.

    The same object always is. While a graph is traced nothing more is known; otherwise the entries
    are compared.
    """
    if a is b:
        return True
    if torch.compiler.is_compiling() or a.is_meta or b.is_meta:
        return False
    if a.dtype != b.dtype or a.device != b.device:
        return False
    if a.numel() == 1 and b.numel() == 1:
        a, b = a.reshape(()), b.reshape(())
    return torch.equal(a, b)


def one_dtype(tensors: Iterable[Any]) -> bool:
    """Whether the values have one type. Where they differ, the result has the wider one, but lies
    on its grid to the precision of the narrower one only."""
    return len({x.value.dtype for x in tensors}) == 1


def distances(x: Any) -> tuple[Tensor, Tensor]:
    """Smallest and largest ``q - zero_point`` of a quantized tensor's grid, 0-dimensional."""
    low, high = bounds(x.bit_width, x.signed)
    zero_point = wide(x.zero_point)
    return (low - zero_point).amin(), (high - zero_point).amax()


def zero_point_like(old: Tensor, new: Tensor) -> Tensor:
    """``new`` in the type of ``old``, or in float32 if that is wider: sums stay integers there."""
    return new.to(torch.promote_types(old.dtype, torch.float32))


def training_of(tensors: Iterable[Any]) -> bool | None:
    """Whether any of the quantizers was training; None where that is known of none."""
    known = [x.training for x in tensors if x.training is not None]
    return any(known) if known else None
