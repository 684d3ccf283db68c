"""Statistics of the magnitudes of a tensor, for grids around 0."""

import math
from typing import Optional

import torch
from torch import Tensor, nn

from qat.components.stats.wrappers import widened
from qat.ops import abs_kth_largest, abs_kth_largest_of_rows


def largest_magnitude(x: Tensor, dim: Optional[int]) -> Tensor:
    """``max |x|`` of all, or along ``dim``; from a faster op where no gradient is asked for."""
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
        stats_reduce_dim: see :mod:`qat.components.stats`.
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


class SignedAbsMax(nn.Module):
    """Minus the element of largest magnitude: a threshold with a sign.

    Divided by the scale that it gives, that element is the lowest integer of a signed grid,
    ``-2**(b-1)``, which the grid reaches on one side only.
    """

    def __init__(self, stats_reduce_dim: Optional[int] = None) -> None:
        super().__init__()
        self.stats_reduce_dim = stats_reduce_dim

    def forward(self, x: Tensor) -> Tensor:
        if self.stats_reduce_dim is None:
            flat = x.reshape(-1)
            index = torch.argmax(torch.abs(flat.detach()))
            return -flat[index]
        dim = self.stats_reduce_dim
        index = torch.argmax(torch.abs(x.detach()), dim=dim, keepdim=True)
        return -torch.gather(x, dim, index).squeeze(dim)
