"""Statistics of both sides of a tensor, for grids with zero points.

The interval that they measure always holds 0, as the grid of a zero point does: of numbers above 0
it begins at 0, of numbers below 0 it ends there.
"""

from typing import Optional

import torch
from torch import Tensor

from qat.components.stats.order import elements, kth_largest, largest, rank_of_high, rank_of_low
from qat.components.stats.wrappers import Statistic


def check_low_percentile(q: float) -> None:
    """Raise ValueError unless ``q`` is a percentile of a lower end."""
    if not 0.0 <= q < 100.0:
        raise ValueError(f"low_percentile_q is {q}; it must be at least 0 and below 100.")


class AbsMinMax(Statistic):
    """``max(x, 0) - min(x, 0)``: the width of the interval that holds ``x`` and 0."""

    def forward(self, x: Tensor) -> Tensor:
        if self.stats_reduce_dim is None and not x.requires_grad:  # in one pass over the memory
            least, most = torch.aminmax(x)
            return torch.clamp(most, min=0.0) + torch.clamp(-least, min=0.0)
        high = largest(x, self.stats_reduce_dim)
        minus_low = largest(-x, self.stats_reduce_dim)
        return torch.clamp(high, min=0.0) + torch.clamp(minus_low, min=0.0)


class NegativeMinOrZero(Statistic):
    """``min(x, 0)``: the lowest number, or 0 where none is negative."""

    def forward(self, x: Tensor) -> Tensor:
        if self.stats_reduce_dim is None and not x.requires_grad:
            return torch.clamp(torch.amin(x), max=0.0)
        return torch.clamp(-largest(-x, self.stats_reduce_dim), max=0.0)


class NegativePercentileOrZero(Statistic):
    """The ``q``-th percentile of ``x``, or 0 where that is positive.

    Element ``k = ceil(q/100 * n)``, at least the first, of ``n`` in ascending order.

    Args:
        low_percentile_q: ``q``, at least 0 and below 100.
        stats_reduce_dim: see :mod:`qat.components.stats`.
    Raises:
        ValueError: ``q`` outside its range.
    """

    def __init__(self, low_percentile_q: float, stats_reduce_dim: Optional[int] = None) -> None:
        super().__init__(stats_reduce_dim)
        check_low_percentile(low_percentile_q)
        self.q = float(low_percentile_q)

    def forward(self, x: Tensor) -> Tensor:
        rank = rank_of_low(self.q, elements(x, self.stats_reduce_dim))
        return torch.clamp(-kth_largest(-x, rank, self.stats_reduce_dim), max=0.0)


class PercentileInterval(Statistic):
    """``max(high, 0) - min(low, 0)`` of two percentiles of ``x``.

    Of ``n`` elements in ascending order, ``low`` is element ``ceil(low_q/100 * n)`` and ``high``
    element ``floor(high_q/100 * n + 0.5)``, each from the first to the last.

    Args:
        low_percentile_q: at least 0.
        high_percentile_q: above ``low_percentile_q`` and at most 100.
        stats_reduce_dim: see :mod:`qat.components.stats`.
    Raises:
        ValueError: percentiles outside their ranges.
    """

    def __init__(
        self,
        low_percentile_q: float,
        high_percentile_q: float,
        stats_reduce_dim: Optional[int] = None,
    ) -> None:
        super().__init__(stats_reduce_dim)
        check_low_percentile(low_percentile_q)
        if not low_percentile_q < high_percentile_q <= 100.0:
            raise ValueError(
                f"high_percentile_q is {high_percentile_q} and low_percentile_q is "
                f"{low_percentile_q}; the first must be above the second and at most 100."
            )
        self.low_q = float(low_percentile_q)
        self.high_q = float(high_percentile_q)

    def forward(self, x: Tensor) -> Tensor:
        dim = self.stats_reduce_dim
        count = elements(x, dim)
        high = kth_largest(x, count - rank_of_high(self.high_q, count) + 1, dim)
        minus_low = kth_largest(-x, rank_of_low(self.low_q, count), dim)
        return torch.clamp(high, min=0.0) + torch.clamp(minus_low, min=0.0)
