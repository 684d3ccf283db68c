"""Quantization in groups of neighbours, each with its own scale."""

from typing import Tuple

from torch import Tensor, nn

from qat import jit
from qat.components.views import from_groups, to_groups


class GroupwiseQuant(jit.ScriptModule):
    """Any other quantizer, applied to groups of ``group_size`` neighbours along ``group_dim``.

    The inner quantizer is called with rows ``[groups, group_size]``, for which a group is what a
    channel is to a weight: its scale is of shape ``[groups, 1]``. Where ``group_size`` does not
    divide the dimension, the last group of each line is filled up with zeros.

    Args:
        group_quant: quantizer of rows, gives ``(y, scale, zero_point, bit_width)``.
        group_dim: dimension along which the groups lie, negative from the end.
        group_size: elements of a group, at least 1.
    Returns:
        What ``group_quant`` gives, with value, scale and zero point in the shape of ``x``. One
        entry per group is ``scale[..., ::group_size]``, indexed along ``group_dim``. A scale (or
        zero point) of one entry in all becomes 0-dimensional.
    Raises:
        ValueError: ``group_size`` below 1.
    Gradient: that of ``group_quant``.
    """

    def __init__(self, group_quant: nn.Module, group_dim: int, group_size: int) -> None:
        super().__init__()
        if group_size < 1:
            raise ValueError(f"group_size is {group_size}; it must be at least 1.")
        self.group_quant = group_quant
        self.group_dim = group_dim
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        rows = to_groups(x, self.group_dim, self.group_size)
        y, scale, zero_point, bit_width = self.group_quant(rows)
        y = from_groups(y, x, self.group_dim)
        return y, self._spread(scale, rows, x), self._spread(zero_point, rows, x), bit_width

    def _spread(self, per_group: Tensor, rows: Tensor, x: Tensor) -> Tensor:
        if per_group.numel() == 1:
            return per_group.reshape([])
        return from_groups(per_group.expand(rows.shape), x, self.group_dim)
