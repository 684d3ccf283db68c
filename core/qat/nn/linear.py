"""Quantized linear layer."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from qat.nn.base.weight_layer import QuantWeightLayer


class QuantLinear(QuantWeightLayer, nn.Linear):  # type: ignore[misc]  # wider types
    """``torch.nn.Linear`` with quantizers; input [..., in_features].

    See :class:`qat.nn.base.weight_layer.QuantWeightLayer`.
    """

    float_class = nn.Linear
    constants = ("in_features", "out_features")

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any) -> Tensor:
        return F.linear(x, weight, bias)

    def channel_shape(self, channels: int, dims: int) -> tuple[int, ...]:
        return (channels,)
