"""Norms, which weights are normalized by."""

from typing import Optional

import torch
from torch import Tensor, nn


class L1Norm(nn.Module):
    """``sum |x|``."""

    def __init__(self, stats_reduce_dim: Optional[int] = None) -> None:
        super().__init__()
        self.stats_reduce_dim = stats_reduce_dim

    def forward(self, x: Tensor) -> Tensor:
        if self.stats_reduce_dim is None:
            return torch.sum(torch.abs(x))
        return torch.sum(torch.abs(x), dim=self.stats_reduce_dim)


class L2Norm(nn.Module):
    """``sqrt(sum x**2)``; its gradient is zero where all of ``x`` is."""

    def __init__(self, stats_reduce_dim: Optional[int] = None) -> None:
        super().__init__()
        self.stats_reduce_dim = stats_reduce_dim

    def forward(self, x: Tensor) -> Tensor:
        if self.stats_reduce_dim is None:
            return torch.norm(x)
        return torch.norm(x, p=2, dim=self.stats_reduce_dim)
