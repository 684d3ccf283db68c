"""What the converter knows of torch's modules and functions: activations, adds, grid keepers."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from qat.nn import (
    QuantConv1d,
    QuantConv2d,
    QuantConv3d,
    QuantConvTranspose1d,
    QuantConvTranspose2d,
    QuantConvTranspose3d,
    QuantEmbedding,
    QuantGELU,
    QuantHardSigmoid,
    QuantHardSwish,
    QuantLeakyReLU,
    QuantLinear,
    QuantReLU,
    QuantReLU6,
    QuantSigmoid,
    QuantSiLU,
    QuantTanh,
)
from qat.nn.activation import QuantFunction
from qat.nn.base.quantized_weight import QuantizedWeight

WEIGHT_LAYERS: Mapping[type[nn.Module], type[QuantizedWeight]] = {
    nn.Conv1d: QuantConv1d,
    nn.Conv2d: QuantConv2d,
    nn.Conv3d: QuantConv3d,
    nn.ConvTranspose1d: QuantConvTranspose1d,
    nn.ConvTranspose2d: QuantConvTranspose2d,
    nn.ConvTranspose3d: QuantConvTranspose3d,
    nn.Embedding: QuantEmbedding,
    nn.Linear: QuantLinear,
}
ACTIVATION_LAYERS: Mapping[type[nn.Module], type[QuantFunction]] = {
    layer.function: layer
    for layer in (
        QuantReLU,
        QuantReLU6,
        QuantLeakyReLU,
        QuantSigmoid,
        QuantHardSigmoid,
        QuantTanh,
        QuantSiLU,
        QuantGELU,
        QuantHardSwish,
    )
}


@dataclass(frozen=True)
class Activation:
    """An activation function.

    Args:
        name: as rules call it.
        make: builds the module that computes it, from the call's arguments behind the input.
        signed: whether it gives negative values.
        relu_like: whether ``activation_function`` may replace it.
    """

    name: str
    make: Callable[..., nn.Module]
    signed: bool
    relu_like: bool = False


def _relu(inplace: bool = False) -> nn.Module:
    return nn.ReLU()


def _relu6(inplace: bool = False) -> nn.Module:
    return nn.ReLU6()


def _hardtanh(min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> nn.Module:
    return nn.Hardtanh(min_val, max_val)


def _leaky_relu(negative_slope: float = 0.01, inplace: bool = False) -> nn.Module:
    return nn.LeakyReLU(negative_slope)


def _in_place(make: Callable[[], nn.Module]) -> Callable[..., nn.Module]:
    def made(inplace: bool = False) -> nn.Module:
        return make()

    return made


RELU = Activation("ReLU", _relu, signed=False, relu_like=True)
RELU6 = Activation("ReLU6", _relu6, signed=False, relu_like=True)
HARDTANH = Activation("Hardtanh", _hardtanh, signed=True, relu_like=True)
LEAKY_RELU = Activation("LeakyReLU", _leaky_relu, signed=True, relu_like=True)
SIGMOID = Activation("Sigmoid", nn.Sigmoid, signed=False)
TANH = Activation("Tanh", nn.Tanh, signed=True)
SILU = Activation("SiLU", _in_place(nn.SiLU), signed=True)
HARDSWISH = Activation("Hardswish", _in_place(nn.Hardswish), signed=True)
HARDSIGMOID = Activation("Hardsigmoid", _in_place(nn.Hardsigmoid), signed=False)
GELU = Activation("GELU", nn.GELU, signed=True)

ACTIVATION_MODULES: Mapping[type[nn.Module], Activation] = {
    nn.ReLU: RELU,
    nn.ReLU6: RELU6,
    nn.Hardtanh: HARDTANH,
    nn.LeakyReLU: LEAKY_RELU,
    nn.PReLU: Activation("PReLU", nn.PReLU, signed=True, relu_like=True),
    nn.Sigmoid: SIGMOID,
    nn.Tanh: TANH,
    nn.SiLU: SILU,
    nn.Hardswish: HARDSWISH,
    nn.Hardsigmoid: HARDSIGMOID,
    nn.GELU: GELU,
}
ACTIVATION_FUNCTIONS: Mapping[Any, Activation] = {
    F.relu: RELU,
    F.relu_: RELU,
    torch.relu: RELU,
    torch.relu_: RELU,
    F.relu6: RELU6,
    F.hardtanh: HARDTANH,
    F.leaky_relu: LEAKY_RELU,
    F.sigmoid: SIGMOID,
    torch.sigmoid: SIGMOID,
    F.tanh: TANH,
    torch.tanh: TANH,
    F.silu: SILU,
    F.hardswish: HARDSWISH,
    F.hardsigmoid: HARDSIGMOID,
    F.gelu: GELU,
}
ACTIVATION_METHODS: Mapping[str, Activation] = {
    "relu": RELU,
    "relu_": RELU,
    "sigmoid": SIGMOID,
    "sigmoid_": SIGMOID,
    "tanh": TANH,
    "tanh_": TANH,
}

ADD_FUNCTIONS = (operator.add, operator.iadd, torch.add)
ADD_METHODS = ("add", "add_")

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
