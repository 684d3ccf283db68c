"""Quantizing again in the backward pass, to keep one tensor less.

A convolution keeps its input for its backward pass. Where that input comes out of a fused
quantizer, which keeps its own input, two tensors are kept where the float network keeps one. So
:func:`keep_recipe` lets the convolution keep how its input was made in its place: one more forward
pass of the quantizer for a third of the activation memory.

Only where that pass is one pass over memory: with the native ops, on a CPU, in eager code.
"""

import torch
from torch import Tensor

from qat.ops.native.backend import is_native

#: Elements below which memory is not worth a second pass.
SMALLEST = 65536


def keep_recipe(out: Tensor, y: Tensor) -> None:
    """Let the layer that computed ``out`` from ``y`` keep, for its backward pass, ``y``'s recipe.

    Without effect where ``y`` is no result of a fused quantizer or was changed in place since,
    where ``out`` is no result of a convolution or matrix product of it, and where hooks on saved
    tensors are active (activation checkpointing, offloading), which shall see every tensor.

    Args:
        out: the result of the layer, without any step in between.
        y: its input.
    Raises:
        RuntimeError: in the backward pass, where what ``y`` was made of was changed in place.
    """
    if torch.compiler.is_compiling():  # first: a size that is compared is fixed there
        return
    if out.requires_grad and y.requires_grad and y.numel() >= SMALLEST and is_native():
        torch.ops.qat.keep_recipe(out, y)
