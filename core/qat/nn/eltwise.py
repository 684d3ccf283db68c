"""Element-wise operations of two quantized tensors."""

from typing import Any

from torch import Tensor, nn

from qat.proxy import ActQuantProxyFromInjector
from qat.quantizers import Int8ActPerTensorFloat
from qat.tensor import QuantTensor

from .proxies import Quantizer, make_proxy, unwrap, with_prefix


class QuantEltwiseAdd(nn.Module):
    """``x + y`` of two tensors brought to one grid first.

    Args:
        input_quant: quantizer that both operands pass, so that they share a scale; 8 bit signed
            unless given, None for none.
        output_quant: quantizer of the sum; None unless given.
        return_quant_tensor: give a ``QuantTensor`` in place of a plain tensor.
        input_*, output_*: attributes that replace those of that quantizer.
    """

    def __init__(
        self,
        input_quant: Quantizer = Int8ActPerTensorFloat,
        output_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        unknown = [name for name in kwargs if not name.startswith(("input_", "output_"))]
        if unknown:
            raise TypeError(f"QuantEltwiseAdd has no argument {', '.join(unknown)}.")
        self.return_quant_tensor = return_quant_tensor
        self.input_quant = make_proxy(
            self,
            input_quant,
            ActQuantProxyFromInjector,
            with_prefix("input_", kwargs),
            "input_quant",
        )
        self.output_quant = make_proxy(
            self,
            output_quant,
            ActQuantProxyFromInjector,
            with_prefix("output_", kwargs),
            "output_quant",
        )

    def forward(self, x: Tensor | QuantTensor, y: Tensor | QuantTensor) -> Tensor | QuantTensor:
        left, right = self.input_quant(x), self.input_quant(y)
        if not self.return_quant_tensor:
            return unwrap(self.output_quant(unwrap(left) + unwrap(right)))
        out = self.output_quant(left + right)
        return out if isinstance(out, QuantTensor) else QuantTensor(out, training=self.training)
