"""Operations of torch that only move elements, in exported graphs."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

aten = torch.ops.aten

#: The result is the argument.
ALIASES = frozenset(
    {
        aten.alias.default,
        aten.clone.default,
        aten.contiguous.default,
        aten.detach.default,
        aten.detach_.default,
        aten.dropout.default,
        aten.feature_dropout.default,
        aten.lift_fresh_copy.default,
    }
)
#: Elements, or zeros between them: what was on a grid with 0 still is.
MOVES = frozenset(
    {
        aten.channel_shuffle.default,
        aten.expand.default,
        aten.flatten.using_ints,
        aten.flip.default,
        aten.movedim.int,
        aten.permute.default,
        aten.pixel_shuffle.default,
        aten.pixel_unshuffle.default,
        aten.reshape.default,
        aten.roll.default,
        aten.select.int,
        aten.slice.Tensor,
        aten.squeeze.dim,
        aten.squeeze.default,
        aten.transpose.int,
        aten.unflatten.int,
        aten.unsqueeze.default,
        aten.upsample_nearest2d.vec,
    }
)
_VIEWS = {aten.view.default, aten._unsafe_view.default}
_FIRST_COUNTS = {
    aten._native_batch_norm_legit_no_training.default,
    aten.native_layer_norm.default,
    aten.native_group_norm.default,
}
_SPLITS = {aten.chunk.default, aten.split.Tensor, aten.split_with_sizes.default}


def without_tuple(node: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Function and arguments of a call of one result.

    A part of a split tensor is a slice of it; the first result of a batch norm is the batch norm.
    """
    if node.target in _VIEWS:  # how the memory of its input lies is no matter of a program
        return aten.reshape.default, node.args, dict(node.kwargs)
    source = node.args[0] if node.args else None
    if node.target is not operator.getitem or not isinstance(source, fx.Node):
        return node.target, node.args, dict(node.kwargs)
    number = node.args[1]
    if source.target in _FIRST_COUNTS and number == 0:
        return source.target, source.args, dict(source.kwargs)
    if source.target not in _SPLITS:
        raise ValueError(f"{source.target} gives several tensors: a program has no such operation.")
    return _part(source, number)


def _part(source: Any, number: int) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    place = source.kwargs.get("dim", source.args[2] if len(source.args) > 2 else 0)
    dim = place % source.args[0].meta["val"].dim()
    sizes = [int(part.shape[dim]) for part in source.meta["val"]]
    start = sum(sizes[:number])
    return aten.slice.Tensor, (source.args[0], dim, start, start + sizes[number]), {}
