"""Integer grid as the ops take it, and its two ends.

All can be used in TorchScript.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class IntGrid(NamedTuple):
    """The integers of a grid, and which of them stands for 0.0.

    The scale is given beside it: an op may find it itself.

    Args:
        zero_point: integer-valued float, broadcastable to the tensor that is quantized.
        bit_width: whole number from 1, 0-dimensional or broadcastable to that tensor.
        signed, narrow_range: see :func:`min_int` and :func:`max_int`.
    """

    zero_point: Tensor
    bit_width: Tensor
    signed: bool
    narrow_range: bool


def min_int(signed: bool, narrow_range: bool, bit_width: Tensor) -> Tensor:
    """Return the lowest integer of the grid.

    ``-2^(b-1)`` when signed, one more when also narrow; ``0`` when unsigned.

    Args:
        signed: whether the grid has negative integers.
        narrow_range: whether the signed grid is symmetric, without its most negative integer.
        bit_width: integer-valued ``b >= 1``, any shape.
    Returns:
        Integer-valued, same shape and dtype as ``bit_width``.
    Gradient: w.r.t. ``bit_width`` that of the formula, so that bit widths can be learned.

    >>> min_int(True, False, torch.tensor(8.0)), min_int(True, True, torch.tensor(8.0))
    (tensor(-128.), tensor(-127.))
    """
    if not signed:
        return torch.zeros_like(bit_width)
    lowest = -(2 ** (bit_width - 1))
    if narrow_range:
        lowest = lowest + 1
    return lowest


def max_int(signed: bool, narrow_range: bool, bit_width: Tensor) -> Tensor:
    """Return the highest integer of the grid.

    ``2^(b-1) - 1`` when signed; ``2^b - 1`` when unsigned, one less when also narrow.

    Args:
        signed: whether the grid has negative integers.
        narrow_range: whether the unsigned grid leaves out its highest integer.
        bit_width: integer-valued ``b >= 1``, any shape. The bounds are exact as far as the dtype
            holds them: 24 bits for float32, 11 for float16, 8 for bfloat16.
    Returns:
        Integer-valued, same shape and dtype as ``bit_width``.
    Gradient: w.r.t. ``bit_width`` that of the formula, so that bit widths can be learned.

    >>> max_int(True, False, torch.tensor(8.0)), max_int(False, True, torch.tensor(8.0))
    (tensor(127.), tensor(254.))
    """
    if signed:
        return 2 ** (bit_width - 1) - 1
    return 2**bit_width - (2 if narrow_range else 1)
