"""Operations that are made of multiply-accumulates, and how many each has.

torch computes convolutions, linear layers, attention and recurrent layers with the few operations
here, so that counting them counts all of these, wherever a model calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
Macs = Callable[[Sequence[Any], Any], int]


@dataclass(frozen=True)
class Product:
    """Where an operation has its two factors, and how many multiply-accumulates it takes.

    Args:
        factors: positions of the factors among its arguments.
        macs: of the arguments and the result.
    """

    factors: tuple[int, int]
    macs: Macs


def _inner(position: int) -> Macs:
    """Every element of the result sums over the last dimension of that factor."""

    def macs(args: Sequence[Any], out: Tensor) -> int:
        return out.numel() * int(args[position].shape[-1])

    return macs


def _convolution(args: Sequence[Any], out: Tensor) -> int:
    x, weight, is_transposed = args[0], args[1], args[6]
    # A kernel is [out, in / groups, *size], transposed [in, out / groups, *size]: an element of the
    # result sums over the first; an element of the input of the second is spread over it.
    spread = x if is_transposed else out
    return int(spread.numel()) * int(weight[0].numel())


def _recurrence(args: Sequence[Any], out: Any) -> int:
    x, of_input, of_state = args[:3]  # [T, N, features], then [gates, features] each
    return int(x.shape[0]) * int(x.shape[1]) * (int(of_input.numel()) + int(of_state.numel()))


PRODUCTS: Mapping[Any, Product] = {
    aten.convolution: Product((0, 1), _convolution),
    aten.mkldnn_rnn_layer: Product((0, 1), _recurrence),  # torch's own layers, on a CPU
    aten.mm: Product((0, 1), _inner(0)),
    aten.bmm: Product((0, 1), _inner(0)),
    aten.mv: Product((0, 1), _inner(0)),
    aten.dot: Product((0, 1), _inner(0)),
    aten.vdot: Product((0, 1), _inner(0)),
    aten.addmm: Product((1, 2), _inner(1)),
    aten.baddbmm: Product((1, 2), _inner(1)),
    aten.addmv: Product((1, 2), _inner(1)),
}
