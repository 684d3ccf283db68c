"""Base of the statistics; their dtypes and shapes."""

import math
from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn


class Statistic(nn.Module):
    """Reduces a view: ``[elements]``, or along ``stats_reduce_dim`` one with rows."""

    def __init__(self, stats_reduce_dim: Optional[int] = None) -> None:
        super().__init__()
        self.stats_reduce_dim = stats_reduce_dim


def widened(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 where it is."""
    return x if x.dtype == torch.float64 else x.float()


def as_rows(x: Tensor, stats_reduce_dim: Optional[int]) -> Tensor:
    """A view ``[elements]`` or ``[rows, elements]`` as ``[rows, elements]``, without gradient.

    At least float32, for searches: half precision cannot tell their errors apart.
    """
    wide = widened(x.detach())
    return wide.reshape(1, -1) if stats_reduce_dim is None else wide.transpose(stats_reduce_dim, 1)


def as_column(found: Tensor, rows: Tensor) -> Tensor:
    """A statistic of :func:`as_rows`, one number per row, as ``[rows, 1]`` in their dtype."""
    return found.to(rows.dtype).reshape(-1, 1)


def of_rows(found: Tensor, stats_reduce_dim: Optional[int], dtype: torch.dtype) -> Tensor:
    """What was found for :func:`as_rows`, one per row, in the shape and dtype of a statistic."""
    found = found.to(dtype)
    return found.reshape([]) if stats_reduce_dim is None else found.reshape(-1)


class _Stats(nn.Module):
    """A statistic, in the shape of the scale or zero point that it is for.

    Raises:
        ValueError: when called, where the statistic has another number of entries than the shape.
    """

    stats_output_shape: List[int]

    def __init__(self, stats_impl: nn.Module, stats_output_shape: Tuple[int, ...]) -> None:
        super().__init__()
        self.stats_impl = stats_impl
        self.stats_output_shape = list(stats_output_shape)
        self.entries = math.prod(stats_output_shape)

    def forward(self, x: Tensor) -> Tensor:
        found = self.stats_impl(x)
        if found.numel() != self.entries and self.entries > 0:  # below 0: it follows from x
            raise ValueError(
                f"the scale (or zero point) is of shape {self.stats_output_shape}, but the tensor "
                f"has {found.numel()} channels; give per_channel_broadcastable_shape with that "
                f"many, or set scaling_stats_permute_dims so that the channels come first."
            )
        return found.reshape(self.stats_output_shape)


#: The name for other files; the class has the one that a printed quantizer is known by.
Stats = _Stats
