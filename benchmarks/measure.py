"""Timing side by side: candidates take turns, only ratios are kept.

A figure is the median over rounds of the ratio within one round. Load from other programs and
changes of the clock frequency last longer than a round, so they slow both parts of a ratio and
cancel; a round that such a change splits is an outlier, which the median leaves out. (The ratio of
two medians would compare rounds of different load.)
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

Work = Callable[[], None]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of some figures."""

    median: float
    low: float
    high: float


def interleaved(
    candidates: Mapping[str, Work],
    rounds: int,
    warmup: int,
    calls: int = 1,
    device: torch.device | None = None,
    clock: Callable[[], float] | None = None,
    settling: int = 0,
) -> dict[str, list[float]]:
    """Seconds per call of every candidate, in ``rounds`` rounds of A B C, A B C, ...

    Args:
        candidates: what to time, by name.
        rounds: timed rounds, at least 1.
        warmup: rounds before, which are not timed.
        calls: calls of a candidate in a row that make one time; more than one for work so short
            that what the candidate before it left in the caches would count.
        device: waited for before and after each time if it is a GPU.
        clock: gives seconds; unless given, of this process on a CPU, where it has one thread and
            other programs' share of the machine shall not count, of the wall on a GPU.
        settling: calls at the start of each turn that are not timed, for work that takes its memory
            from a heap which the candidate before it left in another order.
    Returns:
        For each name ``rounds`` times, in order. The garbage collector is off while timing.
    Raises:
        ValueError: ``rounds`` or ``calls`` below 1.
    """
    if clock is None:
        waits = device is not None and device.type == "cuda"
        clock = time.perf_counter if waits else time.process_time
    if rounds < 1 or calls < 1:
        raise ValueError(f"rounds is {rounds} and calls is {calls}; both must be at least 1.")
    for _ in range(warmup):
        for work in candidates.values():
            _repeat(work, calls)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    with _no_garbage_collection():
        for _ in range(rounds):
            for name, work in candidates.items():
                _repeat(work, settling)
                synchronize(device)
                started = clock()
                _repeat(work, calls)
                synchronize(device)
                times[name].append((clock() - started) / calls)
    return times


def ratio(times: Sequence[float], reference: Sequence[float]) -> Spread:
    """Median and quartiles of ``times[i] / reference[i]``.

    Args:
        times, reference: of the same rounds, in order.
    Raises:
        ValueError: they have different lengths or none.
    """
    if not times or len(times) != len(reference):
        raise ValueError(f"{len(times)} times and {len(reference)} references; give one per round.")
    return spread([a / b for a, b in zip(times, reference, strict=True)])


def spread(figures: Sequence[float]) -> Spread:
    """Median and quartiles of at least one figure."""
    if len(figures) == 1:
        return Spread(figures[0], figures[0], figures[0])
    low, median, high = statistics.quantiles(figures, n=4, method="inclusive")
    return Spread(median, low, high)


def synchronize(device: torch.device | None) -> None:
    """Wait until a GPU has done what it was given; nothing to wait for elsewhere."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def forward_backward(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    gradient: Tensor,
    parameters: Iterable[Tensor] = (),
) -> Work:
    """One call of ``function(x)`` and its backward pass from ``gradient``, of the result's shape.

    Gradients of ``x`` and ``parameters`` are dropped before, as an optimizer does before a step.
    """
    leaves = [x, *parameters]

    def work() -> None:
        for leaf in leaves:
            leaf.grad = None
        function(x).backward(gradient)

    return work


def _repeat(work: Work, calls: int) -> None:
    for _ in range(calls):
        work()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
