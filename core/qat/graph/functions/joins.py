"""Concatenations of activations in a graph."""

from typing import Any

import torch
from torch import fx

from qat.graph.functions.products import is_operand

#: How rules call them.
JOIN = "cat"
_FUNCTIONS = (torch.cat, torch.concat, torch.concatenate)
_KEYWORDS = {"tensors", "dim", "axis"}


def is_join(node: fx.Node) -> bool:
    """Whether ``node`` joins floating point tensors, of which one follows from the input."""
    if node.op != "call_function" or node.target not in _FUNCTIONS:
        return False
    if not _KEYWORDS.issuperset(node.kwargs):  # out= is written into
        return False
    parts = parts_of(node)
    if not isinstance(parts, list | tuple) or not all(_is_float(part) for part in parts):
        return False
    return any(is_operand(part) for part in parts)


def parts_of(node: fx.Node) -> Any:
    """What is joined: as a rule a list of nodes."""
    return node.args[0] if node.args else node.kwargs.get("tensors")


def dimension_of(node: fx.Node) -> Any:
    """The dimension along which the parts are joined; the first unless given."""
    if len(node.args) > 1:
        return node.args[1]
    return node.kwargs.get("dim", node.kwargs.get("axis", 0))


def _is_float(part: Any) -> bool:
    meta = part.meta.get("tensor_meta") if isinstance(part, fx.Node) else None
    dtype = getattr(meta, "dtype", None)
    return dtype is not None and dtype.is_floating_point
