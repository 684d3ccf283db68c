"""Transforms of a weight in front of its rounding."""

import math
from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from qat.ops import floor_scale


class Standardize(nn.Module):
    """``(x - mean(x)) / std(x)``, with the standard deviation of the elements at hand.

    Args:
        kept_dim: a mean and a deviation for each entry of this dimension; None for one in all.
    Where all elements are equal the result is 0. The gradient goes through mean and deviation.
    Source: Libra parameter binarization of IR-Net, arXiv:1909.10788, section 3.2.
    """

    def __init__(self, kept_dim: Optional[int] = None) -> None:
        super().__init__()
        self.kept_dim = -1 if kept_dim is None else kept_dim

    def forward(self, x: Tensor) -> Tensor:
        reduced: List[int] = []
        count = 1
        for dim in range(x.dim()):
            if dim != self.kept_dim:
                reduced.append(dim)
                count *= x.shape[dim]
        centred = x - torch.mean(x, dim=reduced, keepdim=True)
        length = torch.linalg.vector_norm(centred, 2.0, reduced, True)  # its gradient at 0 is 0
        return centred / floor_scale(length / math.sqrt(count))


class TanhNormalize(nn.Module):
    """``tanh(x) / max |tanh(x)|``: from -1 to 1, the largest magnitude at one of the ends.

    The gradient goes through the maximum as well. A tensor of zeros stays zero.
    Source: DoReFa-Net, arXiv:1606.06160, eq. 9.
    """

    def forward(self, x: Tensor) -> Tensor:
        t = torch.tanh(x)
        largest = torch.max(torch.abs(t))
        return t / torch.where(largest == 0, torch.ones_like(largest), floor_scale(largest))


class PreZeroCenterZeroPoint(nn.Module):
    """``-mean(x) / scale`` per output channel, no integer; called ``(x, scale, bit_width)``.

    Args:
        pre_scaling_view_impl: view ``[channels, elements]``.
        pre_scaling_shape: one entry per channel, broadcastable to ``x``.
    Source: A2Q+, Colbert et al. 2024, arXiv:2401.10432.
    """

    def __init__(
        self, pre_scaling_view_impl: nn.Module, pre_scaling_shape: Tuple[int, ...]
    ) -> None:
        super().__init__()
        self.pre_scaling_view_impl = pre_scaling_view_impl
        self.shape = list(pre_scaling_shape)

    def forward(self, x: Tensor, scale: Tensor, bit_width: Tensor) -> Tensor:
        return -self.mean(x) / scale

    def mean(self, x: Tensor) -> Tensor:
        """The mean per output channel, broadcastable to ``x``."""
        return torch.mean(self.pre_scaling_view_impl(x), dim=1).reshape(self.shape)
