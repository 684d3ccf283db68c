"""Quantized activation functions."""

from typing import Any

from torch import Tensor, nn

from qat.nn.base.make_proxy import Quantizer, make_proxy, with_prefix
from qat.proxy import ActQuantProxyFromInjector
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8ActPerTensorFloatMinMaxInit,
    Uint8ActPerTensorFloat,
)
from qat.tensor import QuantTensor, unwrap


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


class QuantFunction(QuantActivation):
    """A function of torch's own; its constructor's arguments are taken as keywords."""

    function: type[nn.Module]
    #: Arguments of the function's constructor that it keeps under the same name.
    constants: tuple[str, ...] = ()

    def __init__(
        self,
        act_quant: Quantizer,
        input_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        own = {name: kwargs.pop(name) for name in self.constants if name in kwargs}
        function = self.function(**own)
        super().__init__(function, act_quant, input_quant, return_quant_tensor, **kwargs)

    @classmethod
    def from_float(cls, module: nn.Module, act_quant: Quantizer) -> "QuantFunction":
        """The quantized layer in place of ``module``, which is of the class ``function``."""
        return cls(act_quant, **{name: getattr(module, name) for name in cls.constants})


class _UnsignedFunction(QuantFunction):
    def __init__(
        self,
        act_quant: Quantizer = Uint8ActPerTensorFloat,
        input_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(act_quant, input_quant, return_quant_tensor, **kwargs)


class _SignedFunction(QuantFunction):
    def __init__(
        self,
        act_quant: Quantizer = Int8ActPerTensorFloat,
        input_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(act_quant, input_quant, return_quant_tensor, **kwargs)


class QuantReLU(_UnsignedFunction):
    """``max(x, 0)``, quantized; 8 bit unsigned unless ``act_quant`` is given."""

    function = nn.ReLU


class QuantReLU6(_UnsignedFunction):
    """``min(max(x, 0), 6)``, quantized; 8 bit unsigned unless ``act_quant`` is given."""

    function = nn.ReLU6


class QuantLeakyReLU(_SignedFunction):
    """``x`` above 0, ``negative_slope * x`` below, quantized; 8 bit signed unless given.

    Args:
        negative_slope: keyword; 0.01 unless given.
    """

    function = nn.LeakyReLU
    constants = ("negative_slope",)


class QuantSigmoid(_UnsignedFunction):
    """``1 / (1 + exp(-x))``, quantized; 8 bit unsigned unless ``act_quant`` is given."""

    function = nn.Sigmoid


class QuantHardSigmoid(_UnsignedFunction):
    """``min(max(x + 3, 0), 6) / 6``, quantized; 8 bit unsigned unless ``act_quant`` is given."""

    function = nn.Hardsigmoid


class QuantTanh(_SignedFunction):
    """``tanh(x)``, quantized; 8 bit signed unless ``act_quant`` is given."""

    function = nn.Tanh


class QuantSiLU(_SignedFunction):
    """``x / (1 + exp(-x))``, quantized; 8 bit signed unless ``act_quant`` is given."""

    function = nn.SiLU


class QuantGELU(_SignedFunction):
    """``x`` times the normal distribution up to it, quantized; 8 bit signed unless given.

    Args:
        approximate: keyword; ``"none"`` unless given, or ``"tanh"``.
    """

    function = nn.GELU
    constants = ("approximate",)


class QuantHardSwish(_UnsignedFunction):
    """``x * min(max(x + 3, 0), 6) / 6``, quantized; 8 bit unsigned unless ``act_quant`` is given.

    Unsigned, as in Brevitas: all of the grid is for positive values, and those from -0.375 to 0
    become 0. ``act_quant=Int8ActPerTensorFloat`` keeps them.
    """

    function = nn.Hardswish


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
