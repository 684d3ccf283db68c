"""Functions that are called with a weight, in a graph."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from qat.graph.layers import WEIGHT_LAYERS
from qat.graph.model import ConvertedModel


@dataclass(frozen=True)
class WeightFunction:
    """A function that computes with a weight.

    Args:
        kind: how rules call it: the name of torch's layer, where there is one.
        name: of a place where it is called.
        weight_at: position of the weight among the arguments.
        input_at: that of the input.
        output_channel_dim: dimension of the weight that counts output channels.
        has_grid_input: whether its input is something to quantize.
    """

    kind: str
    name: str
    weight_at: int = 1
    input_at: int = 0
    output_channel_dim: int = 0
    has_grid_input: bool = True


def _of_layer(layer: Any, name: str, **more: Any) -> tuple[WeightFunction, ...]:
    dim = WEIGHT_LAYERS[layer].output_channel_dim
    return (WeightFunction(layer.__name__, name, output_channel_dim=dim, **more),)


def _product(kind: str, name: str, first: int = 0) -> tuple[WeightFunction, ...]:
    """A product of two operands, the first at position ``first``, of which either may be a weight.

    What a weight on the right has on its last axis, and one on the left on the last but one, are
    output channels.
    """
    right = WeightFunction(kind, name, first + 1, first, output_channel_dim=-1)
    return right, replace(right, weight_at=first, input_at=first + 1, output_channel_dim=-2)


_MATMUL = _product("matmul", "matmul")
_EINSUM = WeightFunction("einsum", "einsum", 2, 1)
_FUNCTIONS: Mapping[Any, tuple[WeightFunction, ...]] = {
    F.linear: _of_layer(nn.Linear, "linear"),
    F.conv1d: _of_layer(nn.Conv1d, "conv1d"),
    F.conv2d: _of_layer(nn.Conv2d, "conv2d"),
    F.conv3d: _of_layer(nn.Conv3d, "conv3d"),
    F.conv_transpose1d: _of_layer(nn.ConvTranspose1d, "conv_transpose1d"),
    F.conv_transpose2d: _of_layer(nn.ConvTranspose2d, "conv_transpose2d"),
    F.conv_transpose3d: _of_layer(nn.ConvTranspose3d, "conv_transpose3d"),
    F.embedding: _of_layer(nn.Embedding, "embedding", has_grid_input=False),
    F.embedding_bag: (WeightFunction("EmbeddingBag", "embedding_bag", has_grid_input=False),),
    F.bilinear: (WeightFunction("Bilinear", "bilinear", weight_at=2),),
    operator.matmul: _MATMUL,
    torch.matmul: _MATMUL,
    torch.mm: _MATMUL,
    torch.addmm: _product("matmul", "addmm", 1),
    torch.bmm: _product("bmm", "bmm"),
    torch.baddbmm: _product("baddbmm", "baddbmm", 1),
    torch.einsum: (_EINSUM, replace(_EINSUM, weight_at=1, input_at=2)),
    torch.tensordot: _product("tensordot", "tensordot")[:1],
    torch.inner: (WeightFunction("inner", "inner", output_channel_dim=0),),
}
_METHODS: Mapping[str, tuple[WeightFunction, ...]] = {
    "matmul": _MATMUL,
    "mm": _MATMUL,
    "bmm": _product("bmm", "bmm"),
    "addmm": _product("matmul", "addmm", 1),
    "baddbmm": _product("baddbmm", "baddbmm", 1),
}


def weight_function_of(model: ConvertedModel, node: fx.Node) -> WeightFunction | None:
    """The function, where ``node`` calls one with a weight that follows from parameters alone."""
    functions: tuple[WeightFunction, ...] = ()
    if node.op == "call_function":
        functions = _FUNCTIONS.get(node.target, ())
    elif node.op == "call_method":
        functions = _METHODS.get(str(node.target), ())
    for function in functions:
        weight = weight_of(node, function)
        if weight is None or _argument(node, function.input_at, "input") is None:
            continue
        dims = len(getattr(weight.meta.get("tensor_meta"), "shape", ()))
        if dims > 1 and not weight.meta.get("of_input") and _has_parameter(model, weight):
            return replace(function, output_channel_dim=_channel_dim(node, function, dims))
    return None


def _channel_dim(node: fx.Node, function: WeightFunction, dims: int) -> int:
    """The axis of the weight that counts output channels."""
    if function.kind != "einsum":
        return function.output_channel_dim % dims
    terms = str(node.args[0]).replace(" ", "").partition("->")[0].split(",")
    own, other = (terms[at - 1] for at in (function.weight_at, function.input_at))
    kept = [axis for axis, letter in enumerate(own) if letter not in other + "."]
    return kept[-1] if kept and "." not in own else dims - 1


def weight_of(node: fx.Node, function: WeightFunction) -> fx.Node | None:
    """The node of the weight that ``node`` is called with."""
    return _argument(node, function.weight_at, "weight")


def input_of(node: fx.Node, function: WeightFunction) -> fx.Node:
    """The node of its input."""
    found = _argument(node, function.input_at, "input")
    assert found is not None
    return found


def with_operands(node: fx.Node, function: WeightFunction, x: fx.Node, weight: fx.Node) -> None:
    """Let ``node`` be called with these."""
    for at, name, item in (
        (function.input_at, "input", x),
        (function.weight_at, "weight", weight),
    ):
        if len(node.args) > at:
            node.update_arg(at, item)
        else:
            node.update_kwarg(name, item)


def expression_of(node: fx.Node) -> str:
    """How a value follows from attributes of the model: the same text for the same value."""
    if node.op == "get_attr":
        return str(node.target)
    if node.meta.get("is_size") and node.op == "call_method":
        return str(example_size(node))
    inner = fx.node.map_arg((node.args, node.kwargs), expression_of)
    return f"{node.target}{inner}"


def example_size(node: fx.Node) -> Any:
    """What ``x.size()``, ``x.size(axis)`` or ``x.numel()`` is for the example."""
    source: Any = node.args[0]
    shape = torch.Size(source.meta["tensor_meta"].shape)
    if node.target == "numel":
        return shape.numel()
    return shape if len(node.args) == 1 else shape[node.args[1]]  # type: ignore[index]


def _argument(node: fx.Node, position: int, name: str) -> fx.Node | None:
    found = node.args[position] if len(node.args) > position else node.kwargs.get(name)
    return found if isinstance(found, fx.Node) else None


def _has_parameter(model: ConvertedModel, node: fx.Node) -> bool:
    open_nodes, seen = [node], {node}
    while open_nodes:
        each = open_nodes.pop()
        if each.op == "get_attr":
            owner, _, name = str(each.target).rpartition(".")
            if name in model.get_submodule(owner)._parameters:
                return True
        new = [other for other in each.all_input_nodes if other not in seen]
        seen.update(new)
        open_nodes += new
    return False
