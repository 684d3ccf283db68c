"""Scales that can be divided by: never below the smallest normal number.

All functions can be called from TorchScript.
"""

import torch
from torch import Tensor

from qat import jit
from qat.ops.backend import implementation
from qat.ops.ste import scalar_clamp_min_ste
from qat.ops.values import smallest_normal


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
    if jit.is_scripting():
        return torch.ops.qat.scale_from_threshold(threshold, int_range)
    return implementation().scale_from_threshold(threshold, int_range)
