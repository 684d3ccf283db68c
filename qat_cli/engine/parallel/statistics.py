"""Statistics of quantizers taken over the batches of all processes.

While a quantizer collects, its scale is the statistic of the tensor at hand, and its running
average starts the learned scale. Both have to be the same everywhere, so each statistic is replaced
where it is taken: by that of all processes' tensors together where it can be found exactly without
sending the tensors, which is the case for extremes, percentiles and means; by the mean over the
processes for the rest (standard deviations, searches for the least error).

The library knows nothing of processes: the replacement is a forward hook, in place for an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from qat.components.scaling import collects_statistics
from qat.components.stats import (
    AbsMax,
    AbsMinMax,
    AbsPercentile,
    NegativeMinOrZero,
    NegativePercentileOrZero,
    PercentileInterval,
)
from qat.components.stats.order import rank_of_high, rank_of_low
from qat_cli.engine.machine import distributed
from qat_cli.errors import UserError


def check_backend(backend: str | None) -> None:
    """Refuse a backend whose quantizers cannot be watched.

    Args:
        backend: in use; ``None`` where nothing is quantized.
    Raises:
        UserError: it is TorchScript, and there are several processes.
    """
    if backend == "jit" and distributed.size() > 1:
        raise UserError(
            "quantizers compiled by TorchScript cannot share their statistics between processes; "
            "use --backend auto, or train in one process."
        )


@contextmanager
def shared_statistics(model: nn.Module) -> Iterator[None]:
    """Inside this context the quantizers of ``model`` collect over all processes.

    All of them have to pass the same tensors of their own through the model at the same time.
    """
    handles = []
    if distributed.size() > 1:
        handles = [
            module.stats.register_forward_hook(_replace)
            for module in model.modules()
            if collects_statistics(module) and isinstance(module.stats, nn.Module)
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _replace(stats: Any, inputs: tuple[Tensor], own: Tensor) -> Tensor:
    kind = stats.stats_impl
    combine = COMBINED.get(type(kind), _mean)
    found = combine(kind, inputs[0], own)
    return found.to(own.dtype).reshape(own.shape)


def _mean(kind: nn.Module, x: Tensor, own: Tensor) -> Tensor:
    """By the number of elements, which makes it exact for means."""
    wide = own.double() if own.device.type != "mps" else own.float()
    counts = distributed.stacked(wide.new_tensor(float(x.numel())))
    share = (counts / counts.sum()).view(-1, *[1] * own.dim())
    return (distributed.stacked(wide) * share).sum(0)


def _max(kind: nn.Module, x: Tensor, own: Tensor) -> Tensor:
    return distributed.stacked(own).amax(0)


def _min(kind: nn.Module, x: Tensor, own: Tensor) -> Tensor:
    return distributed.stacked(own).amin(0)


def _min_max(kind: Any, x: Tensor, own: Tensor) -> Tensor:
    rows = _rows(x, kind.stats_reduce_dim)
    ends = torch.stack([rows.amax(1), -rows.amin(1)])
    return distributed.stacked(ends).amax(0).clamp(min=0.0).sum(0)


def _abs_percentile(kind: Any, x: Tensor, own: Tensor) -> Tensor:
    return _kth_largest(
        x.abs(), kind.stats_reduce_dim, lambda count: count - rank_of_high(kind.q, count) + 1
    )


def _negative_percentile(kind: Any, x: Tensor, own: Tensor) -> Tensor:
    minus_low = _kth_largest(-x, kind.stats_reduce_dim, partial(rank_of_low, kind.q))
    return (-minus_low).clamp(max=0.0)


def _percentile_interval(kind: Any, x: Tensor, own: Tensor) -> Tensor:
    dim = kind.stats_reduce_dim
    high = _kth_largest(x, dim, lambda count: count - rank_of_high(kind.high_q, count) + 1)
    minus_low = _kth_largest(-x, dim, partial(rank_of_low, kind.low_q))
    return high.clamp(min=0.0) + minus_low.clamp(min=0.0)


COMBINED: Mapping[type, Callable[[Any, Tensor, Tensor], Tensor]] = {
    AbsMax: _max,
    NegativeMinOrZero: _min,
    AbsMinMax: _min_max,
    AbsPercentile: _abs_percentile,
    NegativePercentileOrZero: _negative_percentile,
    PercentileInterval: _percentile_interval,
}


def _kth_largest(x: Tensor, dim: int | None, rank_among: Callable[[int], int]) -> Tensor:
    """The k-th largest number of each row of all processes together.

    Each process has to send its k largest only: none that it keeps can be among them.

    Args:
        x: float, [elements] or [rows, elements].
        dim: see :mod:`qat.components.stats`.
        rank_among: gives ``k`` for the number of elements of a row in all processes.
    Returns:
        [rows], 1 row where ``dim`` is ``None``.
    """
    rows = _rows(x, dim)
    own = rows.shape[1]
    total = int(distributed.summed(torch.tensor(own)))
    k = rank_among(total)
    largest = rows.topk(min(k, own), dim=1).values
    padded = rows.new_full((len(rows), k), -torch.inf)
    padded[:, : largest.shape[1]] = largest
    candidates = distributed.stacked(padded).transpose(0, 1).flatten(1)  # [rows, processes * k]
    return candidates.topk(k, dim=1).values[:, -1]


def _rows(x: Tensor, dim: int | None) -> Tensor:
    return x.reshape(1, -1) if dim is None else x.transpose(dim, 1)
