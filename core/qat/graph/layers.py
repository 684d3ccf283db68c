"""torch's layers and functions, and the quantized layers in their place.

A layer that ``qat.nn`` exports is registered by that: its class names what it quantizes, as
``float_class`` where it has a weight, as ``function`` where it is an activation. Activations have a
row in :data:`ACTIVATIONS` too, for the functions that compute the same. All tables here follow.
"""

import inspect
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import qat.nn
from qat.enums import Site
from qat.nn import QuantCat, QuantEltwiseAdd, QuantGRU, QuantLSTM, QuantMultiheadAttention, QuantRNN
from qat.nn.activation import QuantActivation, QuantFunction
from qat.nn.base.quantized_weight import QuantizedWeight
from qat.nn.computed_weight import QuantOperands


def _exported(base: type[nn.Module]) -> Iterator[Any]:
    """The layers of ``qat.nn`` that derive from ``base``, in the order of their export."""
    for layer in vars(qat.nn).values():
        if isinstance(layer, type) and issubclass(layer, base):
            yield layer


#: Quantized layer with a weight, by torch's layer.
WEIGHT_LAYERS: Mapping[type[nn.Module], type[QuantizedWeight]] = {
    layer.float_class: layer
    for layer in _exported(QuantizedWeight)
    if layer.float_class.__module__.startswith("torch.nn.")
}
#: Quantized activation, by torch's module.
ACTIVATION_LAYERS: Mapping[type[nn.Module], type[QuantFunction]] = {
    layer.function: layer for layer in _exported(QuantFunction)
}
#: Layers that quantize what passes through them.
QUANTIZED = (
    QuantizedWeight,
    QuantOperands,
    QuantActivation,
    QuantEltwiseAdd,
    QuantCat,
    QuantMultiheadAttention,
    QuantLSTM,
    QuantGRU,
    QuantRNN,
)


@dataclass(frozen=True)
class Activation:
    """An activation function in all its forms.

    Args:
        module: torch's module, whose name is the one that rules call it by. Its constructor takes
            what the functions take behind their input.
        functions: the functions that compute it.
        methods: the methods of tensors that do.
        signed: whether it gives negative values.
        relu_like: whether ``activation_function`` may replace it.
    """

    module: type[nn.Module]
    functions: tuple[Any, ...] = ()
    methods: tuple[str, ...] = ()
    signed: bool = True
    relu_like: bool = False

    @property
    def name(self) -> str:
        return self.module.__name__

    def arguments(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments behind the input by the names of the constructor's."""
        return inspect.signature(self.module).bind(*args, **kwargs).arguments

    def make(self, *args: Any, **kwargs: Any) -> nn.Module:
        """The module that computes what the function does with these arguments, out of place."""
        given = self.arguments(*args, **kwargs)
        return self.module(**{name: item for name, item in given.items() if name != "inplace"})


ACTIVATIONS = (
    Activation(
        nn.ReLU,
        (F.relu, F.relu_, torch.relu, torch.relu_),
        ("relu", "relu_"),
        signed=False,
        relu_like=True,
    ),
    Activation(nn.ReLU6, (F.relu6,), signed=False, relu_like=True),
    Activation(nn.Hardtanh, (F.hardtanh,), relu_like=True),
    Activation(nn.LeakyReLU, (F.leaky_relu,), relu_like=True),
    Activation(nn.PReLU, relu_like=True),
    Activation(nn.Sigmoid, (F.sigmoid, torch.sigmoid), ("sigmoid", "sigmoid_"), signed=False),
    Activation(nn.Tanh, (F.tanh, torch.tanh), ("tanh", "tanh_")),
    Activation(nn.SiLU, (F.silu,)),
    Activation(nn.Hardswish, (F.hardswish,)),
    Activation(nn.Hardsigmoid, (F.hardsigmoid,), signed=False),
    Activation(nn.GELU, (F.gelu,)),
)
ACTIVATION_MODULES = {each.module: each for each in ACTIVATIONS}
ACTIVATION_FUNCTIONS: Mapping[Any, Activation] = {
    function: each for each in ACTIVATIONS for function in each.functions
}
ACTIVATION_METHODS = {method: each for each in ACTIVATIONS for method in each.methods}
ADD_FUNCTIONS = (operator.add, operator.iadd, torch.add)
ADD_METHODS = ("add", "add_")
#: How rules call functions, and methods seen as functions of ``Tensor``.
FUNCTION_NAMES: Mapping[Any, str] = {
    **{function: each.name for function, each in ACTIVATION_FUNCTIONS.items()},
    **{getattr(Tensor, method): each.name for method, each in ACTIVATION_METHODS.items()},
    **dict.fromkeys((*ADD_FUNCTIONS, Tensor.__radd__), "add"),
}


#: Quantized recurrent layer, by torch's.
RECURRENT: dict[type[nn.Module], Any] = {
    nn.LSTM: QuantLSTM,
    nn.GRU: QuantGRU,
    nn.RNN: QuantRNN,
}
#: Where quantizers sit in one.
RECURRENT_SITES = frozenset({Site.WEIGHT, Site.BIAS, Site.INPUT})


def recurrent_class(module: nn.Module | None) -> type[nn.Module] | None:
    """The layer of torch that ``module`` computes as, if it is a recurrent one."""
    for kind in RECURRENT:
        if isinstance(module, kind) and type(module).forward is kind.forward:
            return kind
    return None
