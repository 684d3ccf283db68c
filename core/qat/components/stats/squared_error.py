"""Searches for the threshold or zero point of the least error.

Both try fractions of where they start, in two rounds: ``i / mse_iters`` for ``i = 1 .. mse_iters``,
then the points that divide the two neighbouring intervals of the best into :data:`PARTS` each. With
20 iterations that is 28 trials for a resolution of 1 in 100. Each row is searched for itself, the
widest wins among equals, and no gradient is taken. A long row, as that of an activation, is
searched by a histogram of up to 300,000 evenly spread samples; a bin is a sixteenth of a step of 8
bits wide, and in the first round eight of them are one.

A power above 2 lets what is cut off count for more. What rounding does to a tensor averages out in
the layer behind it; what clipping does has one sign and adds up.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Optional, Tuple

import torch
from torch import Tensor, nn

from qat import jit
from qat.components.stats.both_sides import NegativeMinOrZero
from qat.components.stats.magnitude import AbsMax
from qat.components.stats.wrappers import as_column, as_rows, of_rows

DEFAULT_ITERS = 20
#: Numbers from which a row is searched by a histogram; its bins; how many the first round joins.
LONG_ROW = 32768
BINS = 4096
JOINED = 8
SAMPLES = 300000  # of a row longer than that
#: Intervals that the second round makes of one of the first.
PARTS = 5


_local = threading.local()


@contextmanager
def searched_once() -> Iterator[None]:
    """Within the block, what a search found for a tensor is not searched for again.

    A zero point is searched for a scale that is found: the same search, on the same numbers, as
    that of the scale. What is known is kept to the end of the block only, with the tensors.
    """
    _local.found = {}
    try:
        yield
    finally:
        _local.found = None


def _once(kind: Any, x: Tensor, compute: Callable[..., Any], *how: Any) -> Any:
    """``compute(x, *how)``, or what is known of it; for eager code."""
    found = getattr(_local, "found", None)
    if found is None:
        return compute(x, *how)
    key = kind, x.data_ptr(), x.shape, x.stride(), x.dtype, x._version
    if key not in found:
        found[key] = x, compute(x, *how)
    return found[key][1]


def _histogram(rows: Tensor, bins: int, samples: int) -> Tuple[Tensor, Tensor]:
    numbers = rows.detach().float()
    low, high = torch.aminmax(numbers)
    width = (high - low) / bins
    if not bool(torch.isfinite(width)) or float(width) <= 0.0:
        return rows, torch.ones_like(rows[:, :1])
    step = -(-numbers.shape[1] // samples) | 1  # odd: sizes of images are even
    counts = torch.histc(numbers[:, ::step], bins, float(low), float(high)).reshape(1, -1)
    middles = low + (torch.arange(bins, device=rows.device) + 0.5) * width
    return middles.reshape(1, -1), counts


class _FractionSearch(nn.Module):
    def __init__(
        self,
        search_grid_impl: nn.Module,
        stats_reduce_dim: Optional[int],
        mse_iters: int,
        mse_power: float,
    ) -> None:
        super().__init__()
        if mse_iters < 1:
            raise ValueError(f"mse_iters is {mse_iters}; it must be at least 1.")
        if not 0.0 < mse_power < float("inf"):
            raise ValueError(f"mse_power is {mse_power}; it must be above 0 and finite.")
        self.mse_power = float(mse_power)
        self.search_grid_impl = search_grid_impl
        self.stats_reduce_dim = stats_reduce_dim
        self.mse_iters = mse_iters
        self.parts, self.bins, self.joined = PARTS, BINS, JOINED
        self.samples = SAMPLES
        bits = float(getattr(search_grid_impl, "bit_width", 32))
        # Bins would be too wide for the steps of more bits, and for those of minifloats.
        self.long_row = LONG_ROW if bits <= 8 else 2**62
        self.lowest = NegativeMinOrZero(stats_reduce_dim)
        self.is_shifted = bool(getattr(search_grid_impl, "is_shifted", False))

    def quantized(
        self, rows: Tensor, fraction: Tensor, threshold: Tensor, lowest: Tensor
    ) -> Tensor:
        """``rows`` on the grid that ``fraction`` gives."""
        raise NotImplementedError("a search defines quantized()")

    def error(self, difference: Tensor) -> Tensor:
        """What a difference counts for."""
        if self.mse_power == 2.0:
            return difference * difference
        return torch.abs(difference) ** self.mse_power

    def condensed(self, rows: Tensor) -> Tuple[Tensor, Tensor]:
        """Numbers that stand for those of ``rows``, and how many each stands for."""
        if rows.shape[0] != 1 or rows.shape[1] < self.long_row:
            return rows, torch.ones_like(rows[:, :1])
        if jit.is_scripting():
            return _histogram(rows, self.bins, self.samples)
        elif torch.compiler.is_compiling():  # bins depend on the numbers, shapes may not
            return rows, torch.ones_like(rows[:, :1])
        else:
            bins, samples = self.bins, self.samples
            return _once((bins, samples), rows, _histogram, bins, samples)

    def best(
        self, rows: Tensor, counts: Tensor, threshold: Tensor, lowest: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """The fraction of least error per row, and that error: ``[rows, 1]`` each."""
        fraction = torch.ones_like(threshold)
        error = torch.full_like(threshold, float("inf"))
        steps = torch.arange(1, self.mse_iters + 1, dtype=rows.dtype, device=rows.device)
        first = steps / self.mse_iters
        part = 1.0 / (self.mse_iters * self.parts)
        near = torch.arange(1, self.parts, dtype=rows.dtype, device=rows.device) * part
        second = torch.cat([-near, near])
        if rows.shape[0] == 1:  # all trials of a round at once, each a row
            few, of_few = rows, counts
            if counts.numel() > 1:  # a histogram
                of_few = counts.reshape(1, -1, self.joined).sum(-1)
                few = rows.reshape(1, -1, self.joined).mean(-1)
            fraction, error = self._best_of(few, of_few, first, threshold, lowest)
            tried = torch.clamp(fraction.reshape(-1) + second, min=part, max=1.0)
            tried = torch.cat([tried, fraction.reshape(-1)])
            return self._best_of(rows, counts, tried, threshold, lowest)
        for i in range(self.mse_iters):
            tried = torch.ones_like(threshold) * first[i]
            fraction, error = self._better(rows, counts, tried, threshold, lowest, fraction, error)
        middle = fraction
        for i in range(len(second)):
            tried = torch.clamp(middle + second[i], min=part, max=1.0)
            fraction, error = self._better(rows, counts, tried, threshold, lowest, fraction, error)
        return fraction, error

    def _best_of(
        self, row: Tensor, counts: Tensor, tried: Tensor, threshold: Tensor, lowest: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """The one of ``tried`` with the least error for a single row, and its error, [1, 1]."""
        count = tried.numel()
        fractions = tried.reshape(-1, 1)
        rows = row.expand(count, -1)
        limits = threshold.expand(count, 1), lowest.expand(count, 1)
        on_grid = self.quantized(rows, fractions, limits[0], limits[1])
        errors = torch.sum(counts * self.error(rows - on_grid), dim=1)
        least = torch.min(errors)
        widest = torch.where(errors == least, tried, torch.zeros_like(tried))
        place = torch.argmax(widest).reshape(1, 1)
        return torch.gather(fractions, 0, place), torch.gather(errors.reshape(-1, 1), 0, place)

    def _better(
        self,
        rows: Tensor,
        counts: Tensor,
        tried: Tensor,
        threshold: Tensor,
        lowest: Tensor,
        fraction: Tensor,
        error: Tensor,
    ) -> Tuple[Tensor, Tensor]:
        on_grid = self.quantized(rows, tried, threshold, lowest)
        new_error = torch.sum(counts * self.error(rows - on_grid), dim=1, keepdim=True)
        is_wider = (new_error == error) & (tried > fraction)
        is_better = (new_error < error) | is_wider
        return torch.where(is_better, tried, fraction), torch.where(is_better, new_error, error)


class MSE(_FractionSearch):
    """Threshold ``t`` with the least squared quantization error, found by search without gradient.

    ``argmin_t sum (x - quantized(x, t))**2`` over fractions of a start, see the module docstring.
    On a grid with a zero point the lowest number is that fraction of ``min(x, 0)``.

    Args:
        search_grid_impl: the grid, such as :class:`qat.components.stats.IntSearchGrid`.
        mse_init_op: statistic that the search starts at, and does not exceed: ``AbsMax`` unless
            given, for grids with a zero point ``AbsMinMax``.
        stats_reduce_dim: see :mod:`qat.components.stats`.
        mse_iters: number of thresholds that the first round tries.
        bipolar_search: try negative thresholds as well, for scales with a sign.
        mse_power: power of the error, above 0; 2 is the squared error.
    Raises:
        ValueError: ``mse_iters`` or ``mse_power`` outside its range.
    """

    def __init__(
        self,
        search_grid_impl: nn.Module,
        mse_init_op: Optional[nn.Module] = None,
        stats_reduce_dim: Optional[int] = None,
        mse_iters: int = DEFAULT_ITERS,
        bipolar_search: bool = False,
        mse_power: float = 2.0,
    ) -> None:
        super().__init__(search_grid_impl, stats_reduce_dim, mse_iters, mse_power)
        self.mse_init_op = AbsMax(stats_reduce_dim) if mse_init_op is None else mse_init_op
        self.bipolar_search = bipolar_search

    def quantized(
        self, rows: Tensor, fraction: Tensor, threshold: Tensor, lowest: Tensor
    ) -> Tensor:
        return self.search_grid_impl(rows, fraction * threshold, fraction * lowest)

    def forward(self, x: Tensor) -> Tensor:
        if jit.is_scripting():
            return self.search(x)
        elif torch.compiler.is_compiling():
            return self.search(x)
        else:
            return _once(id(self), x, self.search)

    def search(self, x: Tensor) -> Tensor:
        rows = as_rows(x, self.stats_reduce_dim)
        start = as_column(self.mse_init_op(x.detach()), rows)
        lowest = as_column(self.lowest(x.detach()), rows) if self.is_shifted else start
        rows, counts = self.condensed(rows)
        fraction, error = self.best(rows, counts, start, lowest)
        found = fraction * start
        if self.bipolar_search:
            negative, its_error = self.best(rows, counts, -start, lowest)
            found = torch.where(its_error < error, -negative * start, found)
        return of_rows(found, self.stats_reduce_dim, x.dtype)


class MSEZeroPoint(_FractionSearch):
    """The number that a grid begins at with the least squared error, for a scale that is found.

    ``argmin_l sum (x - quantized(x, t, l))**2`` with the threshold ``t`` of ``scaling_stats_impl``,
    over fractions of ``min(x, 0)``, see the module docstring; at most 0.

    Args:
        search_grid_impl: the grid, such as :class:`qat.components.stats.IntSearchGrid`.
        scaling_stats_impl: the statistic that the scale is taken from.
        stats_reduce_dim: see :mod:`qat.components.stats`.
        mse_iters: number of starts that the first round tries.
        mse_power: power of the error, above 0; 2 is the squared error.
    Raises:
        ValueError: ``mse_iters`` or ``mse_power`` outside its range.
    """

    def __init__(
        self,
        search_grid_impl: nn.Module,
        scaling_stats_impl: nn.Module,
        stats_reduce_dim: Optional[int] = None,
        mse_iters: int = DEFAULT_ITERS,
        mse_power: float = 2.0,
    ) -> None:
        super().__init__(search_grid_impl, stats_reduce_dim, mse_iters, mse_power)
        self.scaling_stats_impl = scaling_stats_impl

    def quantized(
        self, rows: Tensor, fraction: Tensor, threshold: Tensor, lowest: Tensor
    ) -> Tensor:
        return self.search_grid_impl(rows, threshold, fraction * lowest)

    def forward(self, x: Tensor) -> Tensor:
        rows = as_rows(x, self.stats_reduce_dim)
        threshold = as_column(self.scaling_stats_impl(x.detach()), rows)
        lowest = as_column(self.lowest(x.detach()), rows)
        rows, counts = self.condensed(rows)
        fraction, _ = self.best(rows, counts, threshold, lowest)
        return of_rows(fraction * lowest, self.stats_reduce_dim, x.dtype)
