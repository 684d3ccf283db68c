"""Max and average pooling of quantized tensors."""

from typing import Any

from torch import Tensor, nn

from qat.nn.base.output_layer import QuantOutputLayer
from qat.tensor import QuantTensor
from qat.tensor.dispatch import plain


class _QuantMaxPool(nn.Module):
    def __init__(self, *args: Any, return_quant_tensor: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.return_quant_tensor = return_quant_tensor

    def forward(self, x: Tensor | QuantTensor) -> Any:
        out = super().forward(x)
        return out if self.return_quant_tensor else plain(out)


class QuantMaxPool1d(_QuantMaxPool, nn.MaxPool1d):
    """``torch.nn.MaxPool1d``: the largest of each window stays on the grid of the input.

    Args:
        return_quant_tensor: give a ``QuantTensor`` where the input is one.
    """


class QuantMaxPool2d(_QuantMaxPool, nn.MaxPool2d):
    """``torch.nn.MaxPool2d``: the largest of each window stays on the grid of the input.

    Args:
        return_quant_tensor: give a ``QuantTensor`` where the input is one.
    """


class QuantMaxPool3d(_QuantMaxPool, nn.MaxPool3d):
    """``torch.nn.MaxPool3d``: the largest of each window stays on the grid of the input.

    Args:
        return_quant_tensor: give a ``QuantTensor`` where the input is one.
    """


class QuantAdaptiveMaxPool2d(_QuantMaxPool, nn.AdaptiveMaxPool2d):
    """``torch.nn.AdaptiveMaxPool2d``: the largest of each window stays on the grid of the input.

    Args:
        return_quant_tensor: give a ``QuantTensor`` where the input is one.
    """


class QuantAvgPool2d(QuantOutputLayer, nn.AvgPool2d):  # type: ignore[misc]  # wider types
    """``torch.nn.AvgPool2d``, requantized by ``output_quant`` where one is given.

    Args:
        output_quant: quantizer of the averages, a proxy to share, or None.
        return_quant_tensor: give a ``QuantTensor``; without ``output_quant``, with the finer grid
            that averages of integers lie on.
        output_*: attributes that replace those of ``output_quant``.
    """

    float_class = nn.AvgPool2d


class QuantAdaptiveAvgPool2d(QuantOutputLayer, nn.AdaptiveAvgPool2d):  # type: ignore[misc]  # wider types
    """``torch.nn.AdaptiveAvgPool2d``, requantized by ``output_quant`` where one is given.

    Args:
        output_quant: quantizer of the averages, a proxy to share, or None.
        return_quant_tensor: give a ``QuantTensor``; without ``output_quant``, with the finer grid
            that averages of integers lie on where all windows have one size, else with no grid.
        output_*: attributes that replace those of ``output_quant``.
    """

    float_class = nn.AdaptiveAvgPool2d
