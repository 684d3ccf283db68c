"""Quantized convolutions."""

from typing import Any

from torch import Tensor, nn

from qat.nn.base.weight_layer import QuantWeightLayer

_CONV_ARGUMENTS = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "padding_mode",
)


class QuantConv1d(QuantWeightLayer, nn.Conv1d):  # type: ignore[misc]  # wider types
    """``torch.nn.Conv1d`` with quantizers; input [N, C, L]. See :class:`QuantWeightLayer`."""

    float_class = nn.Conv1d
    constants = _CONV_ARGUMENTS

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any) -> Tensor:
        return self._conv_forward(x, weight, bias)

    def channel_shape(self, channels: int, dims: int) -> tuple[int, ...]:
        return (channels, 1)


class QuantConv2d(QuantWeightLayer, nn.Conv2d):  # type: ignore[misc]  # wider types
    """``torch.nn.Conv2d`` with quantizers; input [N, C, H, W]. See :class:`QuantWeightLayer`."""

    float_class = nn.Conv2d
    constants = _CONV_ARGUMENTS

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any) -> Tensor:
        return self._conv_forward(x, weight, bias)

    def channel_shape(self, channels: int, dims: int) -> tuple[int, ...]:
        return (channels, 1, 1)


class QuantConv3d(QuantWeightLayer, nn.Conv3d):  # type: ignore[misc]  # wider types
    """``torch.nn.Conv3d`` with quantizers; input [N, C, D, H, W]. See :class:`QuantWeightLayer`."""

    float_class = nn.Conv3d
    constants = _CONV_ARGUMENTS

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any) -> Tensor:
        return self._conv_forward(x, weight, bias)

    def channel_shape(self, channels: int, dims: int) -> tuple[int, ...]:
        return (channels, 1, 1, 1)
