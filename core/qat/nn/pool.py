"""Pooling of quantized tensors."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from qat.proxy import ActQuantProxyFromInjector
from qat.tensor import QuantTensor

from .proxies import Quantizer, accepted_by, make_proxy, unwrap, with_prefix


class QuantMaxPool2d(nn.MaxPool2d):
    """``torch.nn.MaxPool2d``: the largest of each window stays on the grid of the input.

    Args:
        return_quant_tensor: give a ``QuantTensor`` where the input is one.
    """

    def __init__(self, *args: Any, return_quant_tensor: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.return_quant_tensor = return_quant_tensor

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        out = super().forward(x)  # type: ignore[arg-type]
        return out if self.return_quant_tensor else unwrap(out)


class _QuantAvgPool(nn.Module):
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
        unknown = [name for name in rest if not name.startswith("output_")]
        if unknown:
            raise TypeError(f"{type(self).__name__} has no argument {', '.join(unknown)}.")
        super().__init__(*args, **float_arguments)
        self.return_quant_tensor = return_quant_tensor
        self.output_quant = make_proxy(
            self,
            output_quant,
            ActQuantProxyFromInjector,
            with_prefix("output_", rest),
            "output_quant",
        )

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        out = self.output_quant(self.average(x))
        if not self.return_quant_tensor:
            return unwrap(out)
        return out if isinstance(out, QuantTensor) else QuantTensor(out, training=self.training)

    def average(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define average()")


class QuantAvgPool2d(_QuantAvgPool, nn.AvgPool2d):  # type: ignore[misc]  # wider types
    """``torch.nn.AvgPool2d``, requantized by ``output_quant`` where one is given.

    Args:
        output_quant: quantizer of the averages, a proxy to share, or None.
        return_quant_tensor: give a ``QuantTensor``; without ``output_quant``, with the finer grid
            that averages of integers lie on.
        output_*: attributes that replace those of ``output_quant``.
    """

    float_class = nn.AvgPool2d

    def average(self, x: Any) -> Any:
        return F.avg_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class QuantAdaptiveAvgPool2d(_QuantAvgPool, nn.AdaptiveAvgPool2d):  # type: ignore[misc]  # wider types
    """``torch.nn.AdaptiveAvgPool2d``, requantized by ``output_quant`` where one is given.

    Args:
        output_quant: quantizer of the averages, a proxy to share, or None.
        return_quant_tensor: give a ``QuantTensor``; without ``output_quant``, with no grid.
        output_*: attributes that replace those of ``output_quant``.
    """

    float_class = nn.AdaptiveAvgPool2d

    def average(self, x: Any) -> Any:
        return F.adaptive_avg_pool2d(x, self.output_size)
