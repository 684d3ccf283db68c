"""Order statistics: the k-th largest element, and the ranks of percentiles."""

import math
from typing import Optional

import torch
from torch import Tensor

from qat.components.stats.wrappers import widened
from qat.ops.reference.statistics import kth_largest_of_rows


def kth_largest(x: Tensor, k: int, dim: Optional[int]) -> Tensor:
    """The k-th largest of ``x``, which gets its gradient; NaN counts as the largest."""
    if x.requires_grad:
        rank = elements(x, dim) - k + 1
        # kthvalue of half precision is missing on some devices; float32 holds its values.
        if dim is None:
            return torch.kthvalue(widened(x.reshape(-1)), rank)[0].to(x.dtype)
        return torch.kthvalue(widened(x), rank, dim=dim)[0].to(x.dtype)
    if dim is None:
        return kth_largest_of_rows(x.reshape(1, -1), k).reshape([])
    return kth_largest_of_rows(x.transpose(dim, 1), k)


def largest(x: Tensor, dim: Optional[int]) -> Tensor:
    """Largest number of all, or along ``dim``."""
    return torch.max(x) if dim is None else torch.max(x, dim=dim)[0]


def elements(x: Tensor, dim: Optional[int]) -> int:
    """How many elements one statistic is of."""
    return x.numel() if dim is None else x.shape[dim]


def rank_of_low(q: float, count: int) -> int:
    """Place of the ``q``-th percentile near the lower end, of ``count``, from the smallest on."""
    return min(count, max(1, int(math.ceil(0.01 * q * count))))


def rank_of_high(q: float, count: int) -> int:
    """Place of the ``q``-th percentile near the upper end, of ``count``, from the smallest on."""
    return min(count, max(1, int(math.floor(0.01 * q * count + 0.5))))
