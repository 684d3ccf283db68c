"""Views of a tensor that a statistic reduces: all of it, or one row per channel or sample."""

from typing import List, Optional, Tuple

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
