"""Statistics of a tensor that a threshold is taken from.

Each takes a view made by :mod:`qat.components.shape`: ``[elements]`` with ``stats_reduce_dim=None``
gives a 0-dimensional result, ``[rows, elements]`` with ``stats_reduce_dim=1`` gives ``[rows]``.

Those that are one element of ``|x|`` hand it their gradient. Where none is wanted, as for an
activation, they are taken in one pass, without sorting and mostly without copying.
"""

import math
from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from qat.enums import StatsOp
from qat.ops import (
    abs_kth_largest,
    abs_kth_largest_of_rows,
    max_int,
    min_int,
    smallest_normal,
)

from .bit_width import check_bit_width


def widened(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def largest_magnitude(x: Tensor, dim: Optional[int]) -> Tensor:
    if x.requires_grad:
        if dim is None:
            return torch.max(torch.abs(x))
        return torch.max(torch.abs(x), dim=dim)[0]
    if dim is None:
        return abs_kth_largest(x, 1)
    return abs_kth_largest_of_rows(x.transpose(dim, 1), 1)


class AbsMax(nn.Module):
    """``max |x|``."""

    def __init__(self, stats_reduce_dim: Optional[int] = None) -> None:
        super().__init__()
        self.stats_reduce_dim = stats_reduce_dim

    def forward(self, x: Tensor) -> Tensor:
        return largest_magnitude(x, self.stats_reduce_dim)


class AbsAve(nn.Module):
    """``mean |x|``."""

    def __init__(self, stats_reduce_dim: Optional[int] = None) -> None:
        super().__init__()
        self.stats_reduce_dim = stats_reduce_dim

    def forward(self, x: Tensor) -> Tensor:
        if self.stats_reduce_dim is None:
            return torch.mean(torch.abs(x))
        return torch.mean(torch.abs(x), dim=self.stats_reduce_dim)


class AbsMaxAve(nn.Module):
    """Mean over the rows of ``max |x|`` in each: 0-dimensional, for a view ``[rows, elements]``."""

    def __init__(self, stats_reduce_dim: int = 1) -> None:
        super().__init__()
        self.stats_reduce_dim = stats_reduce_dim

    def forward(self, x: Tensor) -> Tensor:
        return torch.mean(largest_magnitude(x, self.stats_reduce_dim))


class AbsMaxL2(nn.Module):
    """``||max |x| per row||_2 / sqrt(rows)``: 0-dimensional, for a view ``[rows, elements]``."""

    def __init__(self, stats_reduce_dim: int = 1) -> None:
        super().__init__()
        self.stats_reduce_dim = stats_reduce_dim

    def forward(self, x: Tensor) -> Tensor:
        per_row = largest_magnitude(x, self.stats_reduce_dim)
        return torch.norm(per_row) / math.sqrt(per_row.numel())


class AbsPercentile(nn.Module):
    """The ``q``-th percentile of ``|x|``: element ``k = floor(q/100 * n + 0.5)`` of ``n`` in order.

    Args:
        high_percentile_q: ``q``, above 0 and at most 100.
        stats_reduce_dim: see the module docstring.
    Raises:
        ValueError: ``q`` outside its range.
    """

    def __init__(self, high_percentile_q: float, stats_reduce_dim: Optional[int] = None) -> None:
        super().__init__()
        if not 0.0 < high_percentile_q <= 100.0:
            raise ValueError(
                f"high_percentile_q is {high_percentile_q}; it must be above 0 and at most 100."
            )
        self.q = float(high_percentile_q)
        self.stats_reduce_dim = stats_reduce_dim

    def forward(self, x: Tensor) -> Tensor:
        if self.stats_reduce_dim is None:
            if not x.requires_grad:
                return abs_kth_largest(x, self._rank_from_above(x.numel()))
            flat = torch.abs(x).reshape(-1)
            # kthvalue of half precision is missing on some devices; float32 holds its values.
            return torch.kthvalue(widened(flat), self._rank(flat.numel()))[0].to(x.dtype)
        dim = self.stats_reduce_dim
        if not x.requires_grad:
            return abs_kth_largest_of_rows(x.transpose(dim, 1), self._rank_from_above(x.shape[dim]))
        rows = torch.abs(x)
        return torch.kthvalue(widened(rows), self._rank(x.shape[dim]), dim=dim)[0].to(x.dtype)

    def _rank_from_above(self, count: int) -> int:
        return count - self._rank(count) + 1

    def _rank(self, count: int) -> int:
        return min(count, max(1, int(math.floor(0.01 * self.q * count + 0.5))))


class MSE(nn.Module):
    """Threshold ``t`` with the least squared quantization error, found by search without gradient.

    ``argmin_t sum (x - s * clamp(round(x / s), qmin, qmax))**2`` with ``s = t / qmax``, over
    ``t = max |x| * i / steps`` for ``i = 1 .. steps``.

    Args:
        bit_width, signed, narrow_range: the integer grid.
        stats_reduce_dim: see the module docstring.
        mse_steps: number of thresholds tried.
    """

    def __init__(
        self,
        bit_width: int,
        signed: bool,
        narrow_range: bool,
        stats_reduce_dim: Optional[int] = None,
        mse_steps: int = 100,
    ) -> None:
        super().__init__()
        check_bit_width(bit_width)
        bits = torch.tensor(float(bit_width))
        self.qmin = float(min_int(signed, narrow_range, bits))
        self.qmax = float(max_int(signed, narrow_range, bits))
        self.steps_to_range = max(-self.qmin, self.qmax)
        self.stats_reduce_dim = stats_reduce_dim
        self.mse_steps = mse_steps

    def forward(self, x: Tensor) -> Tensor:
        wide = widened(x.detach())  # half precision can not tell the errors apart
        rows = wide.reshape(1, -1) if self.stats_reduce_dim is None else wide
        largest = torch.max(torch.abs(rows), dim=1, keepdim=True)[0]
        best = largest
        best_error = torch.full_like(largest, float("inf"))
        for i in range(self.mse_steps):
            threshold = largest * ((i + 1.0) / self.mse_steps)
            error = self._error(rows, threshold)
            better = error < best_error
            best_error = torch.where(better, error, best_error)
            best = torch.where(better, threshold, best)
        best = best.to(x.dtype)
        return best.reshape([]) if self.stats_reduce_dim is None else best.reshape(-1)

    def _error(self, rows: Tensor, threshold: Tensor) -> Tensor:
        scale = threshold / self.steps_to_range
        scale = torch.clamp(scale, min=smallest_normal(scale))
        on_grid = torch.clamp(torch.round(rows / scale), min=self.qmin, max=self.qmax) * scale
        return torch.sum((rows - on_grid) ** 2, dim=1, keepdim=True)


STATS = {
    StatsOp.MAX: AbsMax,
    StatsOp.AVE: AbsAve,
    StatsOp.MAX_AVE: AbsMaxAve,
    StatsOp.MAX_L2: AbsMaxL2,
    StatsOp.PERCENTILE: AbsPercentile,
    StatsOp.MSE: MSE,
}


class _Stats(nn.Module):
    stats_output_shape: List[int]

    def __init__(self, stats_impl: nn.Module, stats_output_shape: Tuple[int, ...]) -> None:
        super().__init__()
        self.stats_impl = stats_impl
        self.stats_output_shape = list(stats_output_shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.stats_impl(x).reshape(self.stats_output_shape)
