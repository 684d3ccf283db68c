"""Batches to trace and to compare a model on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx


def noise_like(args: Any, seed: int = 1) -> Any:
    """Other data of the same kinds, shapes, dtypes and ranges; numbers beside tensors stay."""
    generator = torch.Generator().manual_seed(seed)

    def other(x: Any) -> Any:
        if not isinstance(x, Tensor) or x.numel() == 0:
            return x
        if not x.is_floating_point():
            order = torch.randperm(x.numel(), generator=generator)
            return x.flatten()[order.to(x.device)].reshape(x.shape)
        noise = torch.randn(x.shape, generator=generator).to(x)
        spread, middle = x.float().std(correction=0), x.float().mean()
        if not float(spread) > 0:
            return noise
        return (noise * spread + middle).to(x.dtype)

    return fx.node.map_aggregate(args, other)


def fresh(args: Any) -> Any:
    """``args`` with copies of all tensors: a model may change what it is given."""
    return fx.node.map_aggregate(args, lambda x: x.clone() if isinstance(x, Tensor) else x)


def with_two(args: Any) -> Any:
    """``args`` with two samples where there is one, which batch norms cannot be trained on."""
    sizes = {len(x) for x in _batched(args)}
    if sizes != {1}:
        return args
    others = iter(_batched(noise_like(args)))

    def doubled(x: Any) -> Any:
        is_batched = isinstance(x, Tensor) and x.dim() > 0
        return torch.cat([x, next(others)]) if is_batched else x

    return fx.node.map_aggregate(args, doubled)


def of_sizes(args: Any, sizes: Sequence[int]) -> list[Any]:
    """Noise like ``args`` in batches of these sizes; none where no one size is that of a batch."""
    if len({len(x) for x in _batched(args)}) != 1:
        return []
    (size,) = {len(x) for x in _batched(args)}
    made = []
    for wanted in sizes:
        parts = [noise_like(args, seed) for seed in range(1, 2 + (wanted - 1) // size)]
        pieces = iter([*zip(*map(_batched, parts), strict=True)])

        def cut(x: Any, pieces: Any = pieces, wanted: int = wanted) -> Any:
            is_batched = isinstance(x, Tensor) and x.dim() > 0
            return torch.cat(next(pieces))[:wanted] if is_batched else x

        made.append(fx.node.map_aggregate(args, cut))
    return made


def _batched(args: Any) -> list[Tensor]:
    found: list[Tensor] = []

    def look(x: Any) -> Any:
        if isinstance(x, Tensor) and x.dim() > 0:
            found.append(x)
        return x

    fx.node.map_aggregate(args, look)
    return found
