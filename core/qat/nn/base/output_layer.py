"""Layers without parameters, with a quantizer of their results."""

from typing import Any

from torch import Tensor, nn

from qat.nn.base.checks import check_names
from qat.nn.base.make_proxy import Quantizer, accepted_by, make_proxy, with_prefix
from qat.proxy import ActQuantProxyFromInjector
from qat.tensor import QuantTensor, unwrap


class QuantOutputLayer(nn.Module):
    """Mixin in front of a float layer without parameters; its arguments first, then:

    Args:
        output_quant: quantizer of the result, a proxy to share, or None.
        return_quant_tensor: give a ``QuantTensor`` in place of a plain tensor.
        output_*: attributes that replace those of ``output_quant``.
    Raises:
        TypeError: an argument that neither the float layer nor the quantizer takes.
    """

    float_class: type[nn.Module]

    def __init__(
        self,
        *args: Any,
        output_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        float_arguments = accepted_by(self.float_class, kwargs)
        rest = {name: item for name, item in kwargs.items() if name not in float_arguments}
        check_names(type(self).__name__, rest, ("output_",))
        super().__init__(*args, **float_arguments)
        self.return_quant_tensor = return_quant_tensor
        self.output_quant = make_proxy(
            self,
            output_quant,
            ActQuantProxyFromInjector,
            with_prefix("output_", rest),
            "output_quant",
        )

    def compute(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        """The result of the float layer, on a grid where it keeps one."""
        out: Tensor | QuantTensor = super().forward(x)
        return out

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        return returned(self.output_quant(self.compute(x)), self.return_quant_tensor, self.training)


def returned(
    x: Tensor | QuantTensor, return_quant_tensor: bool, training: bool
) -> Tensor | QuantTensor:
    """``x`` as a layer with ``return_quant_tensor`` gives it; without a grid where it has none."""
    if not return_quant_tensor:
        return unwrap(x)
    return x if isinstance(x, QuantTensor) else QuantTensor(x, training=training)
