"""A scale and a shift per channel, plain and quantized."""

from typing import Any

import torch
from torch import Tensor, nn

from qat.nn.base.weight_layer import QuantWeightLayer


class ScaleBias(nn.Module):
    """``x * weight + bias`` with one ``weight`` and one ``bias`` per channel, at first 1 and 0.

    Args:
        num_features: how many channels.
        bias: whether there is a ``bias``.
        runtime_shape: shape in which ``num_features`` numbers broadcast to the input: -1 for the
            channels, 1 for every other dimension. Where the input has fewer dimensions, the last
            ones are left out.
    Raises:
        ValueError: ``runtime_shape`` holds something else.
    """

    def __init__(
        self,
        num_features: int,
        bias: bool,
        runtime_shape: tuple[int, ...] = (1, -1, 1, 1),
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if sorted(runtime_shape) != [-1, *(1 for _ in runtime_shape[1:])]:
            raise ValueError(
                f"{type(self).__name__}: runtime_shape is {tuple(runtime_shape)}; give one -1, "
                f"where the channels are, and 1 for every other dimension."
            )
        self.num_features = num_features
        self.runtime_shape = tuple(runtime_shape)
        self.weight = nn.Parameter(torch.ones(num_features, device=device, dtype=dtype))
        self.bias: Tensor | None
        if bias:
            self.bias = nn.Parameter(torch.zeros(num_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)

    def forward(self, input: Tensor) -> Tensor:
        return self.compute(input, self.weight, self.bias)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any) -> Tensor:
        """``x * weight + bias``."""
        shape = self.runtime_shape[: x.dim()]
        out = x * weight.view(shape)
        return out if bias is None else out + bias.view(shape)

    def extra_repr(self) -> str:
        return f"{self.num_features}, bias={self.bias is not None}"


class QuantScaleBias(QuantWeightLayer, ScaleBias):  # type: ignore[misc]  # wider types
    """:class:`ScaleBias` with quantizers; input [N, C, ...]. See :class:`QuantWeightLayer`."""

    float_class: type[nn.Module] = ScaleBias
    constants = ("num_features", "runtime_shape")

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any) -> Tensor:
        return ScaleBias.compute(self, x, weight, bias)

    def channel_shape(self, channels: int, dims: int) -> tuple[int, ...]:
        return tuple(channels if size == -1 else 1 for size in self.runtime_shape[:dims])
