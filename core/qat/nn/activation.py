"""Quantized activation functions."""

from typing import Any

from torch import Tensor, nn

from qat.proxy import ActQuantProxyFromInjector
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8ActPerTensorFloatMinMaxInit,
    Uint8ActPerTensorFloat,
)
from qat.tensor import QuantTensor

from .proxies import Quantizer, make_proxy, unwrap, with_prefix


class QuantActivation(nn.Module):
    """An activation function and the quantizer behind it.

    Args:
        activation_impl: the function, or None for the identity.
        act_quant: quantizer of the result, a proxy to share, or None.
        input_quant: quantizer in front of the function; None unless given.
        return_quant_tensor: give a ``QuantTensor`` in place of a plain tensor.
        kwargs: attributes that replace those of ``act_quant``; with the prefix ``input_`` those of
            ``input_quant``.
    Raises:
        ValueError: a shared proxy applies another function than this layer.
    """

    def __init__(
        self,
        activation_impl: nn.Module | None,
        act_quant: Quantizer,
        input_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.return_quant_tensor = return_quant_tensor
        self._check_shared_function(act_quant, activation_impl)
        for_input = with_prefix("input_", kwargs)
        for_act = {name: v for name, v in kwargs.items() if not name.startswith("input_")}
        self.input_quant = make_proxy(
            self, input_quant, ActQuantProxyFromInjector, for_input, "input_quant"
        )
        self.act_quant = make_proxy(
            self,
            act_quant,
            ActQuantProxyFromInjector,
            for_act,
            "act_quant",
            activation_impl=activation_impl,
        )

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        input_quant = self.input_quant
        if not input_quant.is_identity:
            x = input_quant(x)
        out = self.act_quant(x)
        if not self.return_quant_tensor:
            return unwrap(out)
        return out if isinstance(out, QuantTensor) else QuantTensor(out, training=self.training)

    def _check_shared_function(self, act_quant: Quantizer, function: nn.Module | None) -> None:
        if isinstance(act_quant, ActQuantProxyFromInjector):
            shared = act_quant.activation_impl
            if type(shared) is not type(function):
                raise ValueError(
                    f"{type(self).__name__}: the shared act_quant applies {_name(shared)}, not "
                    f"{_name(function)}; share it between activations of one kind."
                )

    def quant_act_scale(self) -> Tensor | None:
        """Scale of the activation quantizer, or None where nothing is quantized."""
        return self.act_quant.scale()


def _name(function: nn.Module | None) -> str:
    return "no function" if function is None else type(function).__name__


class QuantIdentity(QuantActivation):
    """Quantizes what passes by; 8 bit signed unless ``act_quant`` is given."""

    def __init__(
        self,
        act_quant: Quantizer = Int8ActPerTensorFloat,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(None, act_quant, None, return_quant_tensor, **kwargs)


class QuantReLU(QuantActivation):
    """``max(x, 0)``, quantized; 8 bit unsigned unless ``act_quant`` is given."""

    def __init__(
        self,
        act_quant: Quantizer = Uint8ActPerTensorFloat,
        input_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(nn.ReLU(), act_quant, input_quant, return_quant_tensor, **kwargs)


class QuantSigmoid(QuantActivation):
    """``1 / (1 + exp(-x))``, quantized; 8 bit unsigned unless ``act_quant`` is given."""

    def __init__(
        self,
        act_quant: Quantizer = Uint8ActPerTensorFloat,
        input_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(nn.Sigmoid(), act_quant, input_quant, return_quant_tensor, **kwargs)


class QuantTanh(QuantActivation):
    """``tanh(x)``, quantized; 8 bit signed unless ``act_quant`` is given."""

    def __init__(
        self,
        act_quant: Quantizer = Int8ActPerTensorFloat,
        input_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(nn.Tanh(), act_quant, input_quant, return_quant_tensor, **kwargs)


class QuantHardTanh(QuantActivation):
    """``min(max(x, min_val), max_val)``, quantized; 8 bit signed unless ``act_quant`` is given.

    Args:
        min_val, max_val: bounds of the function, and the start of the quantizer's threshold.
    """

    def __init__(
        self,
        act_quant: Quantizer = Int8ActPerTensorFloatMinMaxInit,
        input_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        min_val: float = -1.0,
        max_val: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if isinstance(act_quant, type):
            kwargs = {"min_val": min_val, "max_val": max_val, **kwargs}
        bounded = nn.Hardtanh(min_val, max_val)
        super().__init__(bounded, act_quant, input_quant, return_quant_tensor, **kwargs)
