"""What convolutions and linear layers share: four proxies around one float operation."""

from typing import Any

import torch
from torch import Tensor, nn

from qat.ops import ceil_ste, keep_recipe
from qat.proxy import (
    ActQuantProxyFromInjector,
    BiasQuantProxyFromInjector,
    QuantProxy,
    WeightQuantProxyFromInjector,
)
from qat.quantizers import Int8WeightPerTensorFloat
from qat.tensor import QuantTensor
from qat.tensor.grid import distances

from .proxies import Quantizer, accepted_by, make_proxy, unwrap, with_prefix

_ROLES = ("weight", "bias", "input", "output")
_PREFIXES = tuple(f"{role}_" for role in _ROLES)


class QuantWeightLayer(nn.Module):
    """Mixin in front of a float layer with ``weight`` and ``bias``.

    Takes the float layer's own arguments first, then:

    Args:
        weight_quant: quantizer of the weight, a proxy to share, or None; 8 bit unless given.
        bias_quant, input_quant, output_quant: likewise; None unless given.
        return_quant_tensor: give a ``QuantTensor`` in place of a plain tensor.
        weight_*, bias_*, input_*, output_*: attributes that replace those of that quantizer:
            ``weight_bit_width=4``.
    Raises:
        TypeError, ValueError: an argument that neither the float layer nor a quantizer takes.
    """

    float_class: type[nn.Module]
    #: Dimension of ``weight`` that counts output channels.
    output_channel_dim = 0
    #: Arguments of the float layer's constructor that it keeps under the same name.
    constants: tuple[str, ...]
    weight: Tensor
    bias: Tensor | None
    weight_quant: WeightQuantProxyFromInjector
    bias_quant: BiasQuantProxyFromInjector
    input_quant: ActQuantProxyFromInjector
    output_quant: ActQuantProxyFromInjector

    def __init__(
        self,
        *args: Any,
        weight_quant: Quantizer = Int8WeightPerTensorFloat,
        bias_quant: Quantizer = None,
        input_quant: Quantizer = None,
        output_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        float_arguments = accepted_by(self.float_class, kwargs)
        overrides = {name: item for name, item in kwargs.items() if name not in float_arguments}
        super().__init__(*args, **float_arguments)
        self._set_quantizers(
            weight_quant, bias_quant, input_quant, output_quant, return_quant_tensor, overrides
        )

    @classmethod
    def from_float(cls, layer: nn.Module, **quantizers: Any) -> "QuantWeightLayer":
        """The quantized layer in place of ``layer``: the same parameters, not copies.

        Args:
            layer: of the class that this one quantizes.
            quantizers: ``weight_quant`` and the other keyword arguments of the constructor.
        Raises:
            TypeError: ``layer`` is of another class.
        """
        if not isinstance(layer, cls.float_class):
            raise TypeError(
                f"{cls.__name__}.from_float takes a {cls.float_class.__name__}, "
                f"not a {type(layer).__name__}."
            )
        arguments = {name: getattr(layer, name) for name in cls.constants}
        made = cls(**arguments, bias=layer.bias is not None, weight_quant=None, device="meta")
        made.weight, made.bias = layer.weight, layer.bias  # type: ignore[assignment]
        made.train(layer.training)
        made._set_quantizers(
            quantizers.pop("weight_quant", Int8WeightPerTensorFloat),
            quantizers.pop("bias_quant", None),
            quantizers.pop("input_quant", None),
            quantizers.pop("output_quant", None),
            quantizers.pop("return_quant_tensor", False),
            quantizers,
        )
        return made

    def _set_quantizers(
        self,
        weight_quant: Quantizer,
        bias_quant: Quantizer,
        input_quant: Quantizer,
        output_quant: Quantizer,
        return_quant_tensor: bool,
        overrides: dict[str, Any],
    ) -> None:
        unknown = [name for name in overrides if not name.startswith(_PREFIXES)]
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no argument {', '.join(unknown)}; attributes of its "
                f"quantizers start with {', '.join(_PREFIXES)}."
            )
        self.return_quant_tensor = return_quant_tensor
        for role, quant, proxy_class in (
            ("weight", weight_quant, WeightQuantProxyFromInjector),
            ("bias", bias_quant, BiasQuantProxyFromInjector),
            ("input", input_quant, ActQuantProxyFromInjector),
            ("output", output_quant, ActQuantProxyFromInjector),
        ):
            own = with_prefix(f"{role}_", overrides)
            proxy = make_proxy(self, quant, proxy_class, own, f"{role}_quant")
            setattr(self, f"{role}_quant", proxy.train(self.training))

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The float operation on plain tensors."""
        raise NotImplementedError(f"{type(self).__name__} does not define compute()")

    def channel_shape(self, channels: int) -> tuple[int, ...]:
        """Shape in which one number per output channel broadcasts to the output."""
        raise NotImplementedError(f"{type(self).__name__} does not define channel_shape()")

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        """Quantize input, weight and bias, compute, quantize the output."""
        input_quant, output_quant = self.input_quant, self.output_quant
        if not input_quant.is_identity:
            x = input_quant(x)
        weight = self.weight_quant(self.weight)
        bias = None if self.bias is None else self._quantize_bias(x, weight)
        plain = unwrap(x)
        value = self.compute(plain, weight.value, None if bias is None else unwrap(bias))
        keep_recipe(value, plain)
        out = value if output_quant.is_identity else output_quant(value)
        if not self.return_quant_tensor:
            return unwrap(out)
        return out if isinstance(out, QuantTensor) else self._accumulator(out, x, weight, bias)

    def quant_weight(self) -> QuantTensor:
        """The weight as it is used, with its grid where it is quantized."""
        return self.weight_quant(self.weight)

    def quant_weight_scale(self) -> Tensor | None:
        """Scale of the weight quantizer, or None where the weight is not quantized."""
        return self.quant_weight().scale

    def quant_bias(self) -> QuantTensor | None:
        """The bias as it is used; None without a bias.

        A bias that takes its scale from the layer's input takes it from ``input_quant`` here.

        Raises:
            RuntimeError: there is no ``input_quant`` to take it from.
        """
        if self.bias is None:
            return None
        scale = None
        if self.bias_quant.requires_input_scale:
            scale = _product(self.input_quant.scale(), self.quant_weight_scale())
        return self.bias_quant(self.bias, scale)

    def proxies(self) -> dict[str, QuantProxy]:
        """The layer's proxies by role: weight, bias, input, output."""
        return {role: getattr(self, f"{role}_quant") for role in _ROLES}

    def has_quantizers(self) -> bool:
        """Whether the layer quantizes anything at all."""
        return any(proxy.is_quant_enabled for proxy in self.proxies().values())

    def _quantize_bias(self, x: Tensor | QuantTensor, weight: QuantTensor) -> Tensor | QuantTensor:
        if self.bias_quant.is_identity:
            return self.bias  # type: ignore[return-value]
        scale = None
        if self.bias_quant.requires_input_scale and isinstance(x, QuantTensor):
            scale = _product(x.scale, weight.scale)
        return self.bias_quant(self.bias, scale)

    def _accumulator(
        self,
        value: Tensor,
        x: Tensor | QuantTensor,
        weight: QuantTensor,
        bias: Tensor | QuantTensor | None,
    ) -> QuantTensor:
        """The unquantized output with the grid of its accumulator, where it has one."""
        known = isinstance(x, QuantTensor) and not x.missing and not weight.missing
        if known and (bias is None or self._bias_is_on_grid()):
            scale = _product(x.scale, weight.scale)  # type: ignore[union-attr]
            if scale is not None:
                if scale.dim() > 0:
                    scale = scale.reshape(self.channel_shape(scale.numel()))
                bits = self._accumulator_bits(x, weight, bias)  # type: ignore[arg-type]
                return QuantTensor(value, scale, 0.0, bits, True, self.training)
        return QuantTensor(value, training=self.training)

    def _bias_is_on_grid(self) -> bool:
        return self.bias_quant.is_quant_enabled and self.bias_quant.requires_input_scale

    def _accumulator_bits(
        self, x: QuantTensor, weight: QuantTensor, bias: QuantTensor | None
    ) -> Tensor:
        terms = self.weight.numel() // self.weight.shape[self.output_channel_dim]
        largest = terms * _magnitude(x) * _magnitude(weight)
        if bias is not None:
            largest = largest + _magnitude(bias)
        return (ceil_ste(torch.log2(largest + 1.0)) + 1.0).to(torch.float32)


def _product(input_scale: Tensor | None, weight_scale: Tensor | None) -> Tensor | None:
    """Scale of the accumulator, 0-dimensional or [channels]; None where there is none."""
    if input_scale is None or weight_scale is None:
        return None
    if input_scale.numel() != 1:  # a scale per input channel does not leave the sum
        return None
    shape = (-1,) if weight_scale.numel() > 1 else ()
    return input_scale.reshape(()) * weight_scale.reshape(shape)


def _magnitude(x: QuantTensor) -> Tensor:
    """The largest ``|q - zero_point|`` that the grid allows."""
    low, high = distances(x)
    return torch.maximum(-low, high)
