"""Scales of the tensor at hand, in training and in evaluation."""

from typing import List

import torch
from torch import Tensor

from qat.components.scaling.from_weight import StatsFromParameterScaling


class RuntimeDynamicStatsScaling(StatsFromParameterScaling):
    """Scale of whatever tensor it is called with; keeps nothing. That of an empty tensor is 1.

    Args:
        scaling_stats_impl: statistic, see :mod:`qat.components.stats`.
        scaling_stats_input_view_shape_impl: view it is taken over; the whole tensor unless given.
        scaling_shape: shape of the scale; -1 for a dimension that follows from the tensor.
        restrict_scaling_impl, scaling_min_val: as for ``ParameterScaling``.
    Gradient: flows to the tensor through the statistic.
    """

    def stored(self, x: Tensor) -> Tensor:
        shape = self.shape_for(x)
        if x.numel() == 0:
            known = [1 if size < 0 else size for size in shape]
            stats = torch.ones(known, dtype=x.dtype, device=x.device)
        else:
            stats = self.stats.stats_impl(self.stats_input_view_shape_impl(x)).reshape(shape)
        return self.restrict_preprocess(self.clamp_scaling(stats))

    def shape_for(self, x: Tensor) -> List[int]:
        """Shape of the scale of ``x``."""
        return self.stats.stats_output_shape


class RuntimeDynamicRowStatsScaling(RuntimeDynamicStatsScaling):
    """A scale for each row of the tensor at hand: ``[..., features]`` -> ``[..., 1]``.

    Args: as for :class:`RuntimeDynamicStatsScaling`, with the view ``OverRowView()`` and a
    statistic of rows; ``scaling_shape`` follows from the tensor.
    """

    def shape_for(self, x: Tensor) -> List[int]:
        return list(x.shape[:-1]) + [1]  # noqa: RUF005  # as TorchScript reads it
