"""Products of activations in a graph."""

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F

#: How rules call the functions.
_FUNCTIONS: Mapping[Any, str] = {
    operator.matmul: "matmul",
    torch.matmul: "matmul",
    torch.bmm: "bmm",
    torch.baddbmm: "baddbmm",
    torch.einsum: "einsum",
    F.scaled_dot_product_attention: "scaled_dot_product_attention",
    operator.mul: "mul",
    operator.imul: "mul",
    torch.mul: "mul",
    torch.multiply: "mul",
}
_METHODS: Mapping[str, str] = {"matmul": "matmul", "bmm": "bmm", "mul": "mul", "mul_": "mul"}


def product_of(node: fx.Node) -> str | None:
    """How rules call the product of activations that ``node`` computes; None where it is none."""
    if node.op == "call_function":
        name = _FUNCTIONS.get(node.target)
    else:
        name = _METHODS.get(str(node.target)) if node.op == "call_method" else None
    return name if name is not None and len(operands_of(node)) > 1 else None


def operands_of(node: fx.Node) -> list[fx.Node]:
    """The activations among the arguments, in order; one that is there twice is two operands."""
    found: list[fx.Node] = []

    def look(argument: fx.Node) -> fx.Node:
        if is_operand(argument):
            found.append(argument)
        return argument

    fx.node.map_arg(node.args, look)
    return found


def is_operand(node: fx.Node) -> bool:
    """Whether a node gives floating point numbers that follow from the input."""
    dtype = getattr(node.meta.get("tensor_meta"), "dtype", None)
    is_float = dtype is not None and dtype.is_floating_point
    return is_float and bool(node.meta.get("of_input"))
