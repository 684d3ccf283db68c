"""Bits of each tensor's values, followed from quantizers to products."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten

#: Operations that move, select or join values: the result has the bits of what goes in.
MOVES = frozenset(
    {
        aten.alias,
        aten.cat,
        aten.clone,
        aten.constant_pad_nd,
        aten.copy_,
        aten.embedding,
        aten.flip,
        aten.gather,
        aten.im2col,
        aten.index,
        aten.index_select,
        aten.max_pool2d_with_indices,
        aten.max_pool3d_with_indices,
        aten.adaptive_max_pool2d,
        aten.adaptive_max_pool3d,
        aten.native_channel_shuffle,
        aten.pixel_shuffle,
        aten.pixel_unshuffle,
        aten.relu,
        aten.relu_,
        aten.repeat,
        aten.roll,
        aten.stack,
        aten._to_copy,
        aten.upsample_nearest1d,
        aten.upsample_nearest2d,
        aten.upsample_nearest3d,
    }
)


@dataclass(frozen=True)
class Values:
    """What is known of a tensor's values: their bits, and whether they are weights."""

    bits: float
    are_weights: bool = False


#: Zeros lie on every grid: they have the bits of whatever else a layer multiplies.
ZEROS = Values(0.0)
_MAKE_ZEROS = frozenset({aten.new_zeros, aten.zeros, aten.zeros_like})


class Grids:
    """The values of tensors, kept by the memory they lie in: views share it.

    The memory is held, so that its address is not given away to another tensor.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[torch.UntypedStorage, Values]] = {}

    def note(self, tensor: Tensor, values: Values) -> None:
        """From now on ``tensor`` has these values."""
        storage = tensor.untyped_storage()
        if storage.data_ptr():  # an empty one has no place
            self._known[storage.data_ptr()] = storage, values

    def of(self, tensor: Tensor) -> Values:
        """The values of ``tensor``; those of its type where nothing was noted."""
        known = self._known.get(tensor.untyped_storage().data_ptr())
        return Values(8.0 * tensor.element_size()) if known is None else known[1]

    def follow(self, func: Any, inputs: Iterable[Any], result: Any) -> None:
        """Note what the operator ``func`` made of ``inputs``."""
        results = [leaf for leaf in tree_leaves(result) if _is_real(leaf)]
        if func.overloadpacket in MOVES:
            sources = [self.of(leaf) for leaf in tree_leaves(list(inputs)) if _is_real(leaf)]
            widest = max((source.bits for source in sources), default=32.0)
            are_weights = bool(sources) and all(source.are_weights for source in sources)
            if func.overloadpacket is aten.embedding:  # rows that are looked up are an input
                are_weights = False
            for tensor in results:
                self.note(tensor, Values(widest, are_weights))
        elif func.overloadpacket in _MAKE_ZEROS:
            for tensor in results:
                self.note(tensor, ZEROS)
        elif func._schema.is_mutable:  # new numbers in memory that is known
            for tensor in results:
                self.note(tensor, Values(8.0 * tensor.element_size()))


def _is_real(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()
