"""Functions that are called with a weight, in a graph."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
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


def _of_layer(layer: Any, name: str, **more: Any) -> WeightFunction:
    dim = WEIGHT_LAYERS[layer].output_channel_dim
    return WeightFunction(layer.__name__, name, output_channel_dim=dim, **more)


_MATMUL = WeightFunction("matmul", "matmul", output_channel_dim=1)
_FUNCTIONS: Mapping[Any, WeightFunction] = {
    F.linear: _of_layer(nn.Linear, "linear"),
    F.conv1d: _of_layer(nn.Conv1d, "conv1d"),
    F.conv2d: _of_layer(nn.Conv2d, "conv2d"),
    F.conv3d: _of_layer(nn.Conv3d, "conv3d"),
    F.conv_transpose1d: _of_layer(nn.ConvTranspose1d, "conv_transpose1d"),
    F.conv_transpose2d: _of_layer(nn.ConvTranspose2d, "conv_transpose2d"),
    F.conv_transpose3d: _of_layer(nn.ConvTranspose3d, "conv_transpose3d"),
    F.embedding: _of_layer(nn.Embedding, "embedding", has_grid_input=False),
    F.bilinear: WeightFunction("Bilinear", "bilinear", weight_at=2),
    operator.matmul: _MATMUL,
    torch.matmul: _MATMUL,
    torch.mm: _MATMUL,
    torch.addmm: WeightFunction("matmul", "addmm", 2, 1, output_channel_dim=1),
}
_METHODS: Mapping[str, WeightFunction] = {"matmul": _MATMUL, "mm": _MATMUL}


def weight_function_of(model: ConvertedModel, node: fx.Node) -> WeightFunction | None:
    """The function, where ``node`` calls one with a weight that follows from parameters alone."""
    if node.op == "call_function":
        function = _FUNCTIONS.get(node.target)
    else:
        function = _METHODS.get(str(node.target)) if node.op == "call_method" else None
    if function is None:
        return None
    weight = weight_of(node, function)
    if weight is None or weight.meta.get("of_input") or not _has_parameter(model, weight):
        return None
    wants_matrix = function.kind == "matmul"
    if wants_matrix and len(weight.meta["tensor_meta"].shape) != 2:
        return None
    return function if _argument(node, function.input_at, "input") is not None else None


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
    inner = fx.node.map_arg((node.args, node.kwargs), expression_of)
    return f"{node.target}{inner}"


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
