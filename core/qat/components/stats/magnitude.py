"""Statistics of a tensor's magnitudes, for grids around 0; weight norms."""

import math
from typing import Optional

import torch
from torch import Tensor

from qat.components.stats.order import elements, kth_largest, rank_of_high
from qat.components.stats.wrappers import Statistic
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


class AbsMax(Statistic):
    """``max |x|``."""

    def forward(self, x: Tensor) -> Tensor:
        return largest_magnitude(x, self.stats_reduce_dim)


class AbsAve(Statistic):
    """``mean |x|``."""

    def forward(self, x: Tensor) -> Tensor:
        if self.stats_reduce_dim is None:
            return torch.mean(torch.abs(x))
        return torch.mean(torch.abs(x), dim=self.stats_reduce_dim)


class AbsMaxAve(Statistic):
    """Mean over the rows of ``max |x|`` in each: 0-dimensional, for a view ``[rows, elements]``."""

    def __init__(self, stats_reduce_dim: int = 1) -> None:
        super().__init__(stats_reduce_dim)

    def forward(self, x: Tensor) -> Tensor:
        return torch.mean(largest_magnitude(x, self.stats_reduce_dim))


class AbsMaxL2(Statistic):
    """``||max |x| per row||_2 / sqrt(rows)``: 0-dimensional, for a view ``[rows, elements]``."""

    def __init__(self, stats_reduce_dim: int = 1) -> None:
        super().__init__(stats_reduce_dim)

    def forward(self, x: Tensor) -> Tensor:
        per_row = largest_magnitude(x, self.stats_reduce_dim)
        return torch.norm(per_row) / math.sqrt(per_row.numel())


class AbsPercentile(Statistic):
    """The ``q``-th percentile of ``|x|``: element ``k = floor(q/100 * n + 0.5)`` of ``n`` in order.

    Args:
        high_percentile_q: ``q``, above 0 and at most 100.
        stats_reduce_dim: see :mod:`qat.components.stats`.
    Raises:
        ValueError: ``q`` outside its range.
    """

    def __init__(self, high_percentile_q: float, stats_reduce_dim: Optional[int] = None) -> None:
        super().__init__(stats_reduce_dim)
        if not 0.0 < high_percentile_q <= 100.0:
            raise ValueError(
                f"high_percentile_q is {high_percentile_q}; it must be above 0 and at most 100."
            )
        self.q = float(high_percentile_q)

    def forward(self, x: Tensor) -> Tensor:
        dim = self.stats_reduce_dim
        count = elements(x, dim)
        rank = count - rank_of_high(self.q, count) + 1
        if x.requires_grad:
            return kth_largest(torch.abs(x), rank, dim)
        if dim is None:
            return abs_kth_largest(x, rank)
        return abs_kth_largest_of_rows(x.transpose(dim, 1), rank)


class SignedAbsMax(Statistic):
    """Minus the element of largest magnitude: a threshold with a sign.

    Divided by the scale that it gives, that element is the lowest integer of a signed grid,
    ``-2**(b-1)``, which the grid reaches on one side only.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.stats_reduce_dim is None:
            flat = x.reshape(-1)
            index = torch.argmax(torch.abs(flat.detach()))
            return -flat[index]
        dim = self.stats_reduce_dim
        index = torch.argmax(torch.abs(x.detach()), dim=dim, keepdim=True)
        return -torch.gather(x, dim, index).squeeze(dim)


class L1Norm(Statistic):
    """``sum |x|``."""

    def forward(self, x: Tensor) -> Tensor:
        if self.stats_reduce_dim is None:
            return torch.sum(torch.abs(x))
        return torch.sum(torch.abs(x), dim=self.stats_reduce_dim)


class L2Norm(Statistic):
    """``sqrt(sum x**2)``; its gradient is zero where all of ``x`` is."""

    def forward(self, x: Tensor) -> Tensor:
        if self.stats_reduce_dim is None:
            return torch.norm(x)
        return torch.norm(x, p=2, dim=self.stats_reduce_dim)
