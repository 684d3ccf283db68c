"""Views of a tensor that a statistic reduces."""

from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn


class OverTensorView(nn.Module):
    """Any shape -> ``[elements]``, in any order: one statistic for the tensor."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() > 2 and x.stride(1) == 1:  # channels last: in the order of memory, no copy
            x = x.movedim(1, -1)
        return x.reshape(-1)


class OverBatchOverTensorView(nn.Module):
    """``[N, ...]`` -> ``[N, elements per sample]``: one statistic per sample."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1)


class OverOutputChannelView(nn.Module):
    """``[C, ...]`` -> ``[C, elements per channel]``: one statistic per channel.

    Args:
        permute_dims: order of dimensions that puts the channel first, for tensors where it is not:
            ``(1, 0, 2, 3)`` for ``[N, C, H, W]``. None where it is first already.
    """

    permute_dims: List[int]

    def __init__(self, permute_dims: Optional[Tuple[int, ...]] = None) -> None:
        super().__init__()
        self.permute_dims = list(permute_dims) if permute_dims is not None else [0]
        self.permutes = permute_dims is not None

    def forward(self, x: Tensor) -> Tensor:
        y = x.permute(self.permute_dims) if self.permutes else x
        return y.reshape(y.shape[0], -1)


class OverRowView(nn.Module):
    """``[..., features]`` -> ``[rows, features]``: one statistic per row."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, x.shape[-1])


def to_groups(x: Tensor, group_dim: int, group_size: int) -> Tensor:
    """``x`` as rows ``[groups, group_size]`` of neighbours along ``group_dim``.

    The last group of each line is filled up with zeros. :func:`from_groups` is the inverse.
    """
    lines = x.movedim(group_dim, -1)
    missing = -lines.shape[-1] % group_size
    if missing > 0:
        lines = torch.nn.functional.pad(lines, [0, missing])
    return lines.reshape(-1, group_size)


def from_groups(rows: Tensor, x: Tensor, group_dim: int) -> Tensor:
    """Rows as :func:`to_groups` makes them of ``x``, in the shape of ``x`` again.

    Args:
        rows: ``[groups, group_size]``.
        x: of the shape wanted.
        group_dim: along which the groups lie.
    """
    lines = x.movedim(group_dim, -1)
    length = lines.shape[-1]
    padded = length + -length % rows.shape[1]
    spread = rows.reshape(list(lines.shape[:-1]) + [padded])  # as TorchScript reads it
    return spread.narrow(-1, 0, length).movedim(-1, group_dim)
