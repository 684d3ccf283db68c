"""Scales that can be divided by: never below the smallest normal number.

All functions can be called from TorchScript.
"""

import torch
from torch import Tensor

from qat.ops.reference.ste import ScaleFromThresholdFn
from qat.ops.ste import scalar_clamp_min_ste
from qat.ops.table import op
from qat.ops.values import binary_sign, smallest_normal


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


@op("scale_from_threshold(Tensor threshold, Tensor int_range) -> Tensor")
def scale_from_threshold(threshold: Tensor, int_range: Tensor) -> Tensor:
    """``floor_scale(threshold / int_range)`` in one op.

    Args:
        threshold: float, any shape.
        int_range: the integer that the threshold shall be mapped to; broadcastable.
    Returns:
        Positive and normal, the broadcast shape of both; NaN stays NaN.
    Gradient: that of the division, also where the floor was hit.

    >>> scale_from_threshold(torch.tensor(25.5), torch.tensor(255.0))
    tensor(0.1000)
    """
    return ScaleFromThresholdFn.apply(threshold, int_range)


def keep_from_zero(x: Tensor, lo: float) -> Tensor:
    """``sign(x) * max(|x|, lo)`` with ``sign(0) = 1``: a magnitude bounded below, the sign kept.

    Args:
        x: float, any shape.
        lo: lower bound of the magnitude, at least 0.
    Returns:
        Same shape and dtype as ``x``; NaN stays NaN.
    Gradient: identity, also where the bound was hit.

    >>> keep_from_zero(torch.tensor([-2.0, -0.1, 0.0]), 0.5)
    tensor([-2.0000, -0.5000,  0.5000])
    """
    sign = binary_sign(x.detach())
    return sign * scalar_clamp_min_ste(sign * x, lo)


def signed_scale_from_threshold(threshold: Tensor, int_range: Tensor) -> Tensor:
    """As :func:`scale_from_threshold`, for a threshold whose sign the scale takes over.

    >>> signed_scale_from_threshold(torch.tensor(-25.5), torch.tensor(255.0))
    tensor(-0.1000)
    """
    scale = threshold / int_range
    return keep_from_zero(scale, smallest_normal(scale))


def nonzero_scale(scale: Tensor) -> Tensor:
    """As :func:`floor_scale`, for a scale of either sign: below the floor the floor itself.

    Gradient: identity, none where the floor was hit.

    >>> nonzero_scale(torch.tensor([-0.5, 0.0])) * 2.0**126
    tensor([-4.2535e+37,  1.0000e+00])
    """
    floor = smallest_normal(scale)
    return torch.where(scale.detach().abs() < floor, floor, scale)
