"""Base of layers with weight and bias.

Four proxies around one float operation: input, weight, bias, output.
"""

from typing import Any

from torch import Tensor

from qat.enums import Site
from qat.nn.base.make_proxy import Quantizer
from qat.nn.base.merge_bn import merge_batch_norm
from qat.nn.base.quantized_weight import QuantizedWeight
from qat.nn.base.sums import (
    accumulator_bits,
    has_integers,
    has_whole_zero_point,
    product_of_scales,
)
from qat.ops import keep_recipe
from qat.proxy import (
    ActQuantProxyFromInjector,
    BiasQuantProxyFromInjector,
)
from qat.quantizers import Int8WeightPerTensorFloat
from qat.tensor import QuantTensor, unwrap


class QuantWeightLayer(QuantizedWeight):
    """Mixin in front of a float layer with ``weight`` and ``bias``.

    Takes the float layer's own arguments first, then:

    Args:
        weight_quant: quantizer of the weight, a proxy to share, or None; 8 bit unless given.
        bias_quant, input_quant, output_quant: likewise; None unless given.
        return_quant_tensor: give a ``QuantTensor`` in place of a plain tensor; without
            ``output_quant``, with the grid of the accumulator where there is one: the scale is that
            of input times weight, per tensor or output channel, the zero point 0, and the bit width
            holds the largest sum that can occur.
        weight_*, bias_*, input_*, output_*: attributes that replace those of that quantizer:
            ``weight_bit_width=4``.
    Raises:
        TypeError, ValueError: an argument that neither the float layer nor a quantizer takes.
    """

    sites = (Site.WEIGHT, Site.BIAS, Site.INPUT, Site.OUTPUT)
    bias: Tensor | None
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
        super().__init__(
            *args,
            weight_quant=weight_quant,
            bias_quant=bias_quant,
            input_quant=input_quant,
            output_quant=output_quant,
            return_quant_tensor=return_quant_tensor,
            **kwargs,
        )

    def _set_quantizers(self, arguments: dict[str, Any], return_quant_tensor: bool) -> None:
        super()._set_quantizers(arguments, return_quant_tensor)
        factors = (self.weight_quant, self.input_quant)
        self._multiplies_integers = all(map(has_whole_zero_point, factors))

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any) -> Tensor:
        """The float operation on plain tensors; ``args`` are further arguments of ``forward``."""
        raise NotImplementedError(f"{type(self).__name__} does not define compute()")

    def channel_shape(self, channels: int, dims: int) -> tuple[int, ...]:
        """Shape in which one number per output channel broadcasts to an output of ``dims``."""
        raise NotImplementedError(f"{type(self).__name__} does not define channel_shape()")

    def products_per_output(self) -> int:
        """Largest number of products that one element of the output sums."""
        return self.weight.numel() // self.weight.shape[self.output_channel_dim]

    def scale_per_output(self, weight_scale: Tensor) -> Tensor | None:
        """A scale of the weight as one of the output: 0-dimensional, or [channels].

        None where it differs between the weights that go into one element of the output.
        """
        if weight_scale.numel() == 1:
            return weight_scale.reshape(())
        dim, dims = self.output_channel_dim, weight_scale.dim()
        is_per_channel = (
            dims == self.weight.dim() and weight_scale.shape[dim] == weight_scale.numel()
        )
        return weight_scale.reshape(-1) if is_per_channel else None

    def forward(self, input: Tensor | QuantTensor, *args: Any) -> Tensor | QuantTensor:
        """Quantize input, weight and bias, compute, quantize the output."""
        input_quant, output_quant = self.input_quant, self.output_quant
        x = input if input_quant.is_identity else input_quant(input)
        weight = self.weight_quant(self.weight, x)
        bias = None if self.bias is None else self._quantize_bias(x, weight)
        plain = unwrap(x)
        value = self.compute(plain, weight.value, None if bias is None else unwrap(bias), *args)
        keep_recipe(value, plain)
        out = value if output_quant.is_identity else output_quant(value)
        if not self.return_quant_tensor:
            return unwrap(out)
        return out if isinstance(out, QuantTensor) else self._accumulator(out, x, weight, bias)

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
            scale = self._accumulator_scale(self.input_quant.scale(), self.quant_weight_scale())
        return self.bias_quant(self.bias, scale)

    def merge_bn_in(self, bn: Any) -> None:
        """Take the batch norm behind this layer into its weight and bias, in place.

        In evaluation the layer then gives ``bn(layer(x))``, but for what quantizing the new weight
        and bias changes; those quantizers are built anew, so that scales that start from statistics
        start from the new ones. ``output_quant`` quantizes what the batch norm gave. A layer
        without a bias gets one.

        Args:
            bn: ``torch.nn.BatchNorm1d`` or one of its kin, with running statistics, affine or not.
        Raises:
            ValueError: it has no running statistics, or another number of channels.
        """
        merge_batch_norm(self, bn)
        self.weight_quant.init_tensor_quant()
        self.bias_quant.init_tensor_quant()

    def _quantize_bias(self, x: Tensor | QuantTensor, weight: QuantTensor) -> Tensor | QuantTensor:
        if self.bias_quant.is_identity:
            return self.bias  # type: ignore[return-value]
        scale = None
        if self.bias_quant.requires_input_scale and isinstance(x, QuantTensor):
            scale = self._accumulator_scale(x.scale, weight.scale)
        return self.bias_quant(self.bias, scale)

    def _accumulator_scale(self, input_scale: Tensor | None, scale: Tensor | None) -> Tensor | None:
        if input_scale is None or scale is None:
            return None
        return product_of_scales(input_scale, self.scale_per_output(scale))

    def _accumulator(
        self,
        value: Tensor,
        x: Tensor | QuantTensor,
        weight: QuantTensor,
        bias: Tensor | QuantTensor | None,
    ) -> QuantTensor:
        """The unquantized output with the grid of its accumulator, where it has one."""
        factors = self._multiplies_integers and has_integers(weight)
        if factors and isinstance(x, QuantTensor) and has_integers(x):
            scale = self._accumulator_scale(x.scale, weight.scale)
            if scale is not None and (bias is None or self._bias_is_on_grid()):
                if scale.dim() > 0:
                    scale = scale.reshape(self.channel_shape(scale.numel(), value.dim()))
                on_grid = bias if isinstance(bias, QuantTensor) else None
                bits = accumulator_bits(self.products_per_output(), x, weight, on_grid)
                return QuantTensor(value, scale, 0.0, bits, True, self.training)
        return QuantTensor(value, training=self.training)

    def _bias_is_on_grid(self) -> bool:
        return self.bias_quant.is_quant_enabled and self.bias_quant.requires_input_scale
