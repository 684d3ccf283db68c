"""What is added to a weight in front of the rounding, in steps of the scale there."""

from typing import Tuple

import torch
from torch import Tensor, nn


class PreZeroCenterZeroPoint(nn.Module):
    """``-mean(x) / scale`` per output channel, no integer; called ``(x, scale, bit_width)``.

    Args:
        pre_scaling_view_impl: view ``[channels, elements]``.
        pre_scaling_shape: one entry per channel, broadcastable to ``x``.
    Source: A2Q+, Colbert et al. 2024, arXiv:2401.10432.
    """

    def __init__(
        self, pre_scaling_view_impl: nn.Module, pre_scaling_shape: Tuple[int, ...]
    ) -> None:
        super().__init__()
        self.pre_scaling_view_impl = pre_scaling_view_impl
        self.shape = list(pre_scaling_shape)

    def forward(self, x: Tensor, scale: Tensor, bit_width: Tensor) -> Tensor:
        return -self.mean(x) / scale

    def mean(self, x: Tensor) -> Tensor:
        """The mean per output channel, broadcastable to ``x``."""
        return torch.mean(self.pre_scaling_view_impl(x), dim=1).reshape(self.shape)
