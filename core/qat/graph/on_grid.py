"""Values of a traced model that lie on a quantizer's grid."""

import operator
from collections.abc import Callable, Iterable

import torch
from torch import fx, nn
from torch.nn import functional as F

from qat.nn import (
    QuantCat,
    QuantEltwiseAdd,
    QuantEmbedding,
    QuantMaxPool2d,
    QuantMultiheadAttention,
)
from qat.nn.activation import QuantActivation
from qat.nn.base.weight_layer import QuantWeightLayer

#: Modules, functions and methods whose result lies on the grid of their input.
GRID_KEEPING_MODULES = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.Flatten,
    nn.Unflatten,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.PixelShuffle,
    nn.ChannelShuffle,
    nn.ZeroPad2d,
)
GRID_KEEPING_FUNCTIONS = (
    torch.flatten,
    torch.reshape,
    torch.permute,
    torch.transpose,
    torch.squeeze,
    torch.unsqueeze,
    torch.chunk,
    torch.split,
    torch.narrow,
    operator.getitem,
    F.max_pool1d,
    F.max_pool2d,
    F.max_pool3d,
    torch.max_pool2d,
    F.adaptive_max_pool2d,
    F.dropout,
    F.pad,
    F.pixel_shuffle,
)
GRID_KEEPING_METHODS = (
    "view",
    "reshape",
    "flatten",
    "permute",
    "transpose",
    "squeeze",
    "unsqueeze",
    "contiguous",
    "chunk",
    "split",
    "narrow",
    "clone",
    "detach",
    "to",
)


def lies_on_grid(model: fx.GraphModule, node: fx.Node) -> bool:
    """Follow ``node`` back through what keeps a grid, to a quantizer or to something in float."""
    keeps = only_moves(node)
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        if _quantizes(module):
            return True
        keeps = keeps or isinstance(module, QuantMaxPool2d)
    return keeps and lies_on_grid(model, node.all_input_nodes[0])


def _quantizes(module: nn.Module) -> bool:
    if isinstance(module, QuantActivation):
        return module.act_quant.is_quant_enabled
    if isinstance(module, QuantEmbedding):
        scale = module.weight_quant.scale()
        return scale is not None and scale.numel() == 1  # a scale per row is none per tensor
    if isinstance(module, QuantCat):
        return module.input_quant.is_quant_enabled
    if isinstance(module, QuantWeightLayer | QuantEltwiseAdd):
        return module.output_quant.is_quant_enabled
    if isinstance(module, QuantMultiheadAttention):
        return module.out_proj.output_quant.is_quant_enabled
    return False


def reached(
    node: fx.Node,
    step: Callable[[fx.Node], Iterable[fx.Node]],
    is_passed: Callable[[fx.Node], bool] | None = None,
) -> set[fx.Node]:
    """The nodes next to ``node``, and those beyond the ones that are passed.

    Args:
        node: where to begin.
        step: the neighbours of a node, in one direction.
        is_passed: whether what lies beyond a node counts; where it only moves values unless given.
    """
    is_passed = is_passed or only_moves
    open_nodes, seen = [node], set()
    while open_nodes:
        for other in step(open_nodes.pop()):
            if other not in seen:
                seen.add(other)
                if is_passed(other):
                    open_nodes.append(other)
    return seen


def only_moves(node: fx.Node) -> bool:
    """Whether the node's result lies on the grid of its input, whatever that is."""
    if node.op == "call_module":
        return isinstance(module_of(node), GRID_KEEPING_MODULES)
    if node.op == "call_method":
        return node.target in GRID_KEEPING_METHODS
    return node.op == "call_function" and node.target in GRID_KEEPING_FUNCTIONS


def module_of(node: fx.Node) -> nn.Module | None:
    """The module that the node calls; None in a graph without a model."""
    model = node.graph.owning_module
    return None if model is None else model.get_submodule(str(node.target))
