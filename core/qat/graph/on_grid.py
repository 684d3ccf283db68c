"""Values of a traced model that lie on a quantizer's grid."""

import operator

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
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        if _quantizes(module):
            return True
        keeps = isinstance(module, (*GRID_KEEPING_MODULES, QuantMaxPool2d))
    elif node.op == "call_function":
        keeps = node.target in GRID_KEEPING_FUNCTIONS
    elif node.op == "call_method":
        keeps = node.target in GRID_KEEPING_METHODS
    else:
        keeps = False
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
