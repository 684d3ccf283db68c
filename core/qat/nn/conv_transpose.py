"""Quantized transposed convolutions."""

from collections.abc import Callable
from math import ceil, gcd
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from qat.nn.base.weight_layer import QuantWeightLayer
from qat.tensor import QuantTensor


class _QuantConvTranspose(QuantWeightLayer):
    """Base of the transposed convolutions; their weight is [in, out / groups, kernel ...].

    A scale per channel is one per entry of the second dimension: channels at the same place of
    their groups share it.
    """

    constants = (
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "output_padding",
        "groups",
        "dilation",
        "padding_mode",
    )
    output_channel_dim = 1
    function: Callable[..., Tensor]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    in_channels: int

    def forward(
        self, input: Tensor | QuantTensor, output_size: list[int] | None = None
    ) -> Tensor | QuantTensor:
        """Quantize input, weight and bias, compute, quantize the output.

        Args:
            input: [N, C, ...] or [C, ...].
            output_size: which of the sizes that ``stride`` makes possible the output has; the
                smallest, plus ``output_padding``, unless given.
        """
        return super().forward(input, output_size)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None, *args: Any) -> Tensor:
        (output_size,) = args
        dims = len(self.kernel_size)
        output_padding = self._output_padding(  # type: ignore[operator]
            x, output_size, self.stride, self.padding, self.kernel_size, dims, self.dilation
        )
        return self.function(
            x, weight, bias, self.stride, self.padding, output_padding, self.groups, self.dilation
        )

    def channel_shape(self, channels: int, dims: int) -> tuple[int, ...]:
        return (channels, *(1 for _ in self.kernel_size))

    def products_per_output(self) -> int:
        """Number of products that one element of the output sums: not all of a kernel reach it.

        Two taps of the kernel reach the same output if they are a multiple of ``stride`` apart:
        ``ceil(kernel_size / (stride / gcd(stride, dilation)))`` of them along each dimension, from
        each input channel of the group.
        """
        products = self.in_channels // self.groups
        for kernel, stride, by in zip(self.kernel_size, self.stride, self.dilation, strict=True):
            products *= ceil(kernel / (stride // gcd(stride, by)))
        return products

    def scale_per_output(self, weight_scale: Tensor) -> Tensor | None:
        scale = super().scale_per_output(weight_scale)
        return scale if scale is None or scale.dim() == 0 else scale.repeat(self.groups)


class QuantConvTranspose1d(_QuantConvTranspose, nn.ConvTranspose1d):  # type: ignore[misc]  # wider types
    """``torch.nn.ConvTranspose1d`` with quantizers; input [N, C, L].

    A scale per channel has ``out_channels / groups`` entries, shared by the groups. See
    :class:`QuantWeightLayer`.
    """

    float_class = nn.ConvTranspose1d
    function = staticmethod(F.conv_transpose1d)


class QuantConvTranspose2d(_QuantConvTranspose, nn.ConvTranspose2d):  # type: ignore[misc]  # wider types
    """``torch.nn.ConvTranspose2d`` with quantizers; input [N, C, H, W].

    A scale per channel has ``out_channels / groups`` entries, shared by the groups. See
    :class:`QuantWeightLayer`.
    """

    float_class = nn.ConvTranspose2d
    function = staticmethod(F.conv_transpose2d)


class QuantConvTranspose3d(_QuantConvTranspose, nn.ConvTranspose3d):  # type: ignore[misc]  # wider types
    """``torch.nn.ConvTranspose3d`` with quantizers; input [N, C, D, H, W].

    A scale per channel has ``out_channels / groups`` entries, shared by the groups. See
    :class:`QuantWeightLayer`.
    """

    float_class = nn.ConvTranspose3d
    function = staticmethod(F.conv_transpose3d)
