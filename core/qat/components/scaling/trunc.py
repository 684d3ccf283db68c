"""Factors between the steps of a truncation's output and input."""

from typing import Optional

import torch
from torch import Tensor, nn

from qat.components.clamp import TensorClamp
from qat.components.stats import widened
from qat.enums import TruncScalingImplType


def _msb_scale(input_bit_width: Tensor, output_bit_width: Tensor) -> Tensor:
    return torch.pow(2.0, widened(input_bit_width) - widened(output_bit_width))


class TruncMsbScaling(nn.Module):
    """``2**(input_bit_width - output_bit_width)``: the most significant bits stay.

    Called ``(x, input_bit_width, output_bit_width, signed)``, as is every scaling of a truncation;
    of ``x`` and ``signed`` nothing is used here.
    """

    def forward(
        self,
        x: Tensor,
        input_bit_width: Tensor,
        output_bit_width: Tensor,
        signed: bool,
    ) -> Tensor:
        return _msb_scale(input_bit_width, output_bit_width)


class TruncScalingWrapper(nn.Module):
    """``scaling_impl(x) / trunc_int_scaling_impl(output_bit_width, signed)``: as much as is used.

    Bits at the top that a threshold of the integers leaves out are saturated, so that more of the
    low ones stay. The factor is kept from 1 to ``2**(input_bit_width - output_bit_width)`` (the
    other way round where the output is wider): no bit is invented, and none dropped for nothing.

    Args:
        trunc_int_scaling_impl: called ``(output_bit_width, signed)``, gives the integer range.
        scaling_impl: called with the integers ``x`` of the input, gives their threshold.
        tensor_clamp_impl: keeps the factor in its bounds; ``TensorClamp()`` unless given.
    """

    def __init__(
        self,
        trunc_int_scaling_impl: nn.Module,
        scaling_impl: nn.Module,
        tensor_clamp_impl: Optional[nn.Module] = None,
    ) -> None:
        super().__init__()
        self.trunc_int_scaling_impl = trunc_int_scaling_impl
        self.scaling_impl = scaling_impl
        self.tensor_clamp_impl = TensorClamp() if tensor_clamp_impl is None else tensor_clamp_impl

    def forward(
        self,
        x: Tensor,
        input_bit_width: Tensor,
        output_bit_width: Tensor,
        signed: bool,
    ) -> Tensor:
        int_range = self.trunc_int_scaling_impl(output_bit_width, signed)
        scale = widened(self.scaling_impl(x)) / widened(int_range)
        most = _msb_scale(input_bit_width, output_bit_width)
        low, high = torch.clamp(most, max=1.0), torch.clamp(most, min=1.0)
        return self.tensor_clamp_impl(scale, low, high)


TRUNC_SCALING = {
    TruncScalingImplType.MSB: TruncMsbScaling,
    TruncScalingImplType.WRAPPER: TruncScalingWrapper,
}
