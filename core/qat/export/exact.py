"""Real numbers that are known exactly: sums of integers times rational scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import torch
from torch import Tensor

from qat.export.program import Grid

Index = tuple[int, ...]

#: Distance from a tie, in steps and relative to the number of steps, below which float64 does not
#: decide.
CLOSE = 1e-9


@dataclass(frozen=True, eq=False)
class Exact:
    """A tensor of reals.

    Args:
        numbers: float64, the nearest or one beside it.
        at: the exact number of an element.
        parts: int64, broadcast to ``numbers``: elements that agree in all of them are equal. None
            where that is not known.
    """

    numbers: Tensor
    at: Callable[[Index], Fraction]
    parts: tuple[Tensor, ...] | None = None

    def on_grid(self, grid: Grid, ends: tuple[int, int]) -> Tensor:
        """The integers of the nearest numbers of ``grid`` from end to end, int64; ties to even."""
        step = Fraction(float(grid.scale))
        if grid.format.is_binary:
            is_close = self.numbers.abs() < CLOSE * float(step)
            q = torch.where(self.numbers >= 0, 1, -1)
            self._decide(q, is_close, lambda number: 1 if number >= 0 else -1)
            return q
        steps = self.numbers / float(grid.scale)
        q = torch.round(steps)
        is_close = distance_to_tie(steps) < CLOSE * (1 + steps.abs())
        # Python rounds a fraction to even as well.
        self._decide(q, is_close, lambda number: round(number / step))
        return torch.clamp(q.to(torch.int64) + grid.zero_point, *ends)

    def _decide(self, q: Tensor, is_close: Tensor, decide: Callable[[Fraction], int]) -> None:
        """Write what exact numbers say over the elements that float64 cannot tell."""
        places = is_close.nonzero()
        if len(places) == 0:
            return
        same = torch.arange(len(places))
        if self.parts is not None:  # sums of integers have few different ties
            chosen = [part.broadcast_to(q.shape)[is_close] for part in self.parts]
            same = torch.unique(torch.stack(chosen), dim=1, return_inverse=True)[1]
        first = torch.full((int(same.max()) + 1,), len(places))
        first.scatter_reduce_(0, same, torch.arange(len(places)), "amin")
        decided = [decide(self.at(tuple(index))) for index in places[first].tolist()]
        q[is_close] = torch.tensor(decided, dtype=q.dtype)[same]


def distance_to_tie(steps: Tensor) -> Tensor:
    """How far each number, in steps, is from the nearest middle between two integers."""
    return (steps - steps.floor() - 0.5).abs()


def of_integers(q: Tensor, grid: Grid) -> Exact:
    """The reals of integers on a grid."""
    return scaled(q - grid.zero_point, [Fraction(float(grid.scale))], 0)


def scaled(
    sums: Tensor, factors: Sequence[Fraction], axis: int, shifts: Sequence[Fraction] | None = None
) -> Exact:
    """``sums * factor + shift``, one of each per entry of ``axis``, or one for all.

    Args:
        sums: int64.
        factors, shifts: as many as ``sums`` has entries along ``axis``, or one.
        axis: from 0.
    """
    count = len(factors)

    def channel(index: Index) -> int:
        return 0 if count == 1 else index[axis]

    def at(index: Index) -> Fraction:
        number = int(sums[index]) * factors[channel(index)]
        return number if shifts is None else number + shifts[channel(index)]

    shape = [1] * sums.dim()
    if count > 1:
        shape[axis] = count
    numbers = sums.double() * _doubles(factors).reshape(shape)
    if shifts is not None:
        numbers = numbers + _doubles(shifts).reshape(shape)
    channels = torch.arange(count if count > 1 else 1).reshape(shape)
    return Exact(numbers, at, (sums, channels))


def _doubles(numbers: Sequence[Fraction]) -> Tensor:
    return torch.tensor([float(each) for each in numbers], dtype=torch.float64)


def affine(x: Exact, factors: Sequence[Fraction], shifts: Sequence[Fraction]) -> Exact:
    """``x * factor + shift`` per entry of dimension 1."""
    shape = [1, -1, *[1] * (x.numbers.dim() - 2)]
    numbers = x.numbers * _doubles(factors).reshape(shape) + _doubles(shifts).reshape(shape)
    return Exact(numbers, lambda index: x.at(index) * factors[index[1]] + shifts[index[1]])


def clamped(x: Exact, low: float, high: float | None) -> Exact:
    """``min(max(x, low), high)``."""
    lowest, highest = Fraction(low), None if high is None else Fraction(high)

    def at(index: Index) -> Fraction:
        number = max(x.at(index), lowest)
        return number if highest is None else min(number, highest)

    return Exact(x.numbers.clamp(low, high), at, x.parts)


def added(x: Exact, y: Exact) -> Exact:
    """``x + y``, broadcast."""

    def at(index: Index) -> Fraction:
        return x.at(_within(index, x.numbers)) + y.at(_within(index, y.numbers))

    numbers = x.numbers + y.numbers
    parts = None
    if x.parts is not None and y.parts is not None:
        own = (
            part.broadcast_to(each.numbers.shape) for each in (x, y) for part in each.parts or ()
        )
        parts = tuple(own)
    return Exact(numbers, at, parts)


def _within(index: Index, x: Tensor) -> Index:
    own = index[len(index) - x.dim() :]
    return tuple(0 if size == 1 else place for place, size in zip(own, x.shape, strict=True))


def averaged_over_all(x: Exact) -> Exact:
    """The mean over all dimensions behind the channels, which stay as 1."""
    sizes = x.numbers.shape[2:]

    def at(index: Index) -> Fraction:
        places = product(*map(range, sizes))
        return sum((x.at((*index[:2], *place)) for place in places), Fraction(0)) / sizes.numel()

    return Exact(x.numbers.mean(tuple(range(2, x.numbers.dim())), keepdim=True), at)


def flattened(x: Exact, start: int) -> Exact:
    """All dimensions from ``start`` on as one."""
    shape = x.numbers.shape

    def at(index: Index) -> Fraction:
        rest, places = index[-1], []
        for size in reversed(shape[start:]):
            rest, place = divmod(rest, size)
            places.append(place)
        return x.at((*index[:start], *reversed(places)))

    parts = x.parts and tuple(p.broadcast_to(shape).flatten(start) for p in x.parts)
    return Exact(x.numbers.flatten(start), at, parts)


def joined(parts: Sequence[Exact], axis: int) -> Exact:
    """The parts one behind the other."""
    sizes = [part.numbers.shape[axis] for part in parts]

    def at(index: Index) -> Fraction:
        place = index[axis]
        for part, size in zip(parts, sizes, strict=True):
            if place < size:
                return part.at((*index[:axis], place, *index[axis + 1 :]))
            place -= size
        raise IndexError(index)

    return Exact(torch.cat([part.numbers for part in parts], axis), at)


def chosen(x: Exact, largest: Tensor, places: Tensor) -> Exact:
    """Elements of ``x`` by their place in its last dimensions, as max pooling gives them.

    Args:
        x: [N, C, ...].
        largest: float64, the chosen numbers.
        places: int64 of the same shape, in the flattened dimensions behind the channels.
    """
    spatial = x.numbers.shape[2:]

    def at(index: Index) -> Fraction:
        rest, found = int(places[index]), []
        for size in reversed(spatial):
            rest, place = divmod(rest, size)
            found.append(place)
        return x.at((*index[:2], *reversed(found)))

    return Exact(largest, at)
