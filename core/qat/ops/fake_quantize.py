"""Fused quantizers: scale, round, clamp and dequantize in one op.

Each gives the values of the composed quantizer of :mod:`qat.components`, bit for bit, in one pass
over its input; the backward pass gives the gradient of the input and of the grid in another, and
needs only the input. An activation function that is a clamp (ReLU, hard tanh) goes into the same
pass: with :class:`Bounds` the op quantizes :func:`activated` ``x``.

Common to all: ``x`` is float16, bfloat16, float32 or float64 of any shape and memory format, empty
ones included; ``scale`` is positive and broadcastable to ``x``: one for the tensor, per channel,
per group. The result has the shape and memory format of ``x`` and its dtype, or the wider dtype of
a ``scale`` of one dimension or more; the integers are those of the wider of the two types, see
:mod:`qat.ops.dtypes`. NaN stays NaN, and gets no gradient where clipped.

The ops themselves, with flat arguments, are declared in :mod:`qat.ops.reference.fake_quantize`. The
native ones run on a CPU; on other devices ``torch.ops.qat`` composes them from torch's own ops.
"""

from typing import List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from qat.ops.int_grid import IntGrid
from qat.ops.reference import fake_quantize as flat


class Bounds(NamedTuple):
    """Bounds of an activation function ``min(max(x, lo), hi)``, or None where there is no bound."""

    lo: Optional[float]
    hi: Optional[float]


#: No activation function.
NO_BOUNDS = Bounds(None, None)


def activated(x: Tensor, bounds: Bounds) -> Tensor:
    """``min(max(x, lo), hi)`` with the bounds that are not None, as the fused quantizers take it.

    Args:
        x: float, any shape.
        bounds: of an activation function.
    Returns:
        Shape and dtype of ``x``; NaN stays NaN.
    Gradient: that of the identity, zero where ``x <= lo`` or ``x >= hi``.
    """
    lo, hi = bounds
    if lo is not None:
        x = torch.where(x <= lo, lo, x)
    if hi is not None:
        x = torch.where(x >= hi, hi, x)
    return x


def int_fake_quantize(
    x: Tensor, scale: Tensor, grid: IntGrid, clipped: bool, bounds: Bounds = NO_BOUNDS
) -> Tensor:
    """``(q - zero_point) * scale`` with ``q = clamp(round(x / scale) + zero_point, qmin, qmax)``.

    Args:
        x: float, any shape.
        scale: float, positive, broadcastable to ``x``.
        grid: the integers from ``qmin`` to ``qmax`` (:func:`qat.ops.min_int`).
        clipped: whether the clamp stops the gradient of ``x``; otherwise it goes straight through.
        bounds: of an activation function in front.
    Returns:
        Shape of ``x``, on the grid.
    Gradient: to ``x`` that of the identity (where not clipped). To ``scale``, summed: ``q -
        zero_point - x / scale``, and ``q - zero_point`` where clipped (LSQ, arXiv:1902.08153, eq.
        3). Where clipped also ``-scale`` to ``zero_point`` (LSQ+, arXiv:2004.09576, eq. 6) and
        ``scale * dq / d bit_width`` to ``bit_width``.

    >>> x, one, relu = torch.tensor([-3.0, 0.24, 9.0]), torch.tensor(1.0), Bounds(0.0, None)
    >>> int_fake_quantize(x, one / 10, IntGrid(0 * one, 8 * one, False, False), True, relu)
    tensor([0.0000, 0.2000, 9.0000])
    """
    return flat.int_fake_quantize(x, scale, *grid, clipped, *bounds)


def threshold_int_fake_quantize(
    x: Tensor,
    stored: Tensor,
    smallest: float,
    int_range: Tensor,
    grid: IntGrid,
    clipped: bool,
    bounds: Bounds = NO_BOUNDS,
) -> Tuple[Tensor, Tensor]:
    """:func:`int_fake_quantize` with the scale that a stored threshold gives, in one op.

    ``scale = max(max(|stored|, smallest) / int_range, smallest normal number)``: the ops
    :func:`qat.ops.positive_ste` and :func:`qat.ops.scale_from_threshold`, and their gradients.

    Args:
        x: float, any shape.
        stored: float, broadcastable to ``x``: a learned threshold, or one just found.
        smallest: lower bound of the threshold, at least 0.
        int_range: the integer that the threshold is mapped to, 0-dimensional.
        grid, clipped, bounds: as for :func:`int_fake_quantize`.
    Returns:
        The quantized ``x``, and the scale in the shape of ``stored``.
    """
    return flat.threshold_int_fake_quantize(x, stored, smallest, int_range, *grid, clipped, *bounds)


def maximum_int_fake_quantize(
    x: Tensor,
    rows: int,
    shape: List[int],
    smallest: float,
    int_range: Tensor,
    grid: IntGrid,
    clipped: bool,
) -> Tuple[Tensor, Tensor]:
    """:func:`threshold_int_fake_quantize` by the largest magnitude of ``x``, in one op.

    Args:
        x: float, any shape, not empty.
        rows: ``x.shape[0]`` for a threshold per entry of the first dimension, 0 for one in all.
        shape: of the scale: ``rows`` elements, or one.
        smallest, int_range, grid, clipped: as for :func:`threshold_int_fake_quantize`.
    Returns:
        The quantized ``x``, and the scale.
    Gradient: as ``torch.max(torch.abs(x))`` gives it, the threshold's goes to the largest elements:
        to the first of each row, shared by all where there is one threshold.
    """
    return flat.maximum_int_fake_quantize(x, rows, shape, smallest, int_range, *grid, clipped)


def binary_fake_quantize(
    x: Tensor, scale: Tensor, clipped: bool, bounds: Bounds = NO_BOUNDS
) -> Tensor:
    """``sign(x) * scale`` with ``sign(0) = 1``.

    Args:
        x: float, any shape.
        scale: float, positive, broadcastable to ``x``.
        clipped: whether the gradient of ``x`` stops where ``|x| > scale``.
        bounds: of an activation function in front.
    Returns:
        Shape of ``x``, ``-scale`` or ``+scale``.
    Gradient: to ``x`` the incoming one times ``scale``. To ``scale``, summed: ``sign(x)``, and
        where clipped ``sign(x) * (1 + scale)``: the scale is then also the bound of the clamp.

    >>> binary_fake_quantize(torch.tensor([-0.3, 0.0, 2.0]), torch.tensor(0.5), True)
    tensor([-0.5000,  0.5000,  0.5000])
    """
    return flat.binary_fake_quantize(x, scale, clipped, *bounds)


def ternary_fake_quantize(
    x: Tensor, scale: Tensor, threshold: float, bounds: Bounds = NO_BOUNDS
) -> Tensor:
    """``sign(x) * scale`` where ``|x| > threshold * scale``, else 0.

    Args:
        x: float, any shape.
        scale: float, positive, broadcastable to ``x``.
        threshold: width of the zero zone in scales, from 0 to below 1.
        bounds: of an activation function in front.
    Returns:
        Shape of ``x``, ``-scale``, 0 or ``+scale``.
    Gradient: where the result is not 0: to ``x`` the incoming one times ``scale``; to ``scale``,
        summed, ``sign(x)``.

    >>> ternary_fake_quantize(torch.tensor([-0.3, 0.1, 2.0]), torch.tensor(0.5), 0.5)
    tensor([-0.5000,  0.0000,  0.5000])
    """
    return flat.ternary_fake_quantize(x, scale, threshold, *bounds)
