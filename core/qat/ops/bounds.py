"""Bounds that quantizers clamp to: the ends of an integer grid, the smallest positive scale.

All functions can be called from TorchScript.
"""

import torch
from torch import Tensor

from qat.ops.ste import scalar_clamp_min_ste


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
    highest = 2**bit_width - 1
    if narrow_range:
        highest = highest - 1
    return highest


def smallest_normal(x: Tensor) -> float:
    """Return the smallest positive normal number of the dtype of ``x``.

    Args:
        x: float16, bfloat16, float32 or float64; only its dtype is read.
    Raises:
        TypeError: another dtype.

    >>> smallest_normal(torch.zeros(1)) == 2.0**-126
    True
    """
    # Written out because TorchScript does not know torch.finfo.
    if x.dtype == torch.float32 or x.dtype == torch.bfloat16:
        return 1.1754943508222875e-38  # 2^-126
    if x.dtype == torch.float16:
        return 6.103515625e-05  # 2^-14
    if x.dtype == torch.float64:
        return 2.2250738585072014e-308  # 2^-1022
    raise TypeError("smallest_normal needs a float16, bfloat16, float32 or float64 tensor")


def floor_scale(scale: Tensor) -> Tensor:
    """Keep a scale usable as a divisor: ``max(scale, smallest normal number of its dtype)``.

    Args:
        scale: float, any shape.
    Returns:
        Same shape and dtype as ``scale``, positive and normal; NaN stays NaN.
    Gradient: identity, also where the floor was hit.

    >>> bool(floor_scale(torch.zeros(1)) > 0)
    True
    """
    return scalar_clamp_min_ste(scale, smallest_normal(scale))
