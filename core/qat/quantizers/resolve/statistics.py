"""Resolver of the statistic that a threshold is taken from."""

from typing import Any

import torch

from qat.components.stats import STATS, AbsMax, AbsMinMax, IntSearchGrid
from qat.enums import RestrictValueType, ScalingPerOutputType, StatsOp, lookup, member
from qat.inject import ExtendedInjector, value
from qat.quantizers.resolve.granularity import reduces_rows

#: Statistics that are built for a whole tensor only.
WHOLE_ONLY = (StatsOp.KL,)
#: Statistics that measure both sides of a tensor, as a grid with a zero point needs.
BOTH_SIDES = (StatsOp.MIN_MAX, StatsOp.PERCENTILE_INTERVAL, StatsOp.MSE, StatsOp.HQO)


class StatisticsResolver(ExtendedInjector):
    """Attributes ``scaling_stats_op`` and what single statistics read beside it.

    ``high_percentile_q`` and ``low_percentile_q`` of percentiles; ``sigma`` of mean and deviation;
    ``mse_iters``, ``mse_power`` and ``hqo_*`` of searches, which try thresholds on
    ``search_grid_impl``.
    """

    high_percentile_q = 99.999
    low_percentile_q = 0.001
    search_grid_impl = IntSearchGrid

    @value
    def scaling_stats_impl(
        scaling_stats_op: Any, scaling_per_output: Any, zero_point_impl_type: Any = None
    ) -> Any:
        implementation = lookup(STATS, scaling_stats_op, "scaling_stats_op")
        op = member(StatsOp, scaling_stats_op)
        name = str(scaling_stats_op).lower()
        is_whole = scaling_per_output is ScalingPerOutputType.TENSOR
        if not is_whole and reduces_rows(op):
            raise ValueError(
                f"scaling_stats_op {name!r} gives one number for the tensor; "
                f"set scaling_per_output_channel to False, or choose another statistic."
            )
        if not is_whole and op in WHOLE_ONLY:
            raise NotImplementedError(
                f"scaling_stats_op {name!r} is built for one scale per tensor, not for one per "
                f"{scaling_per_output}; use 'mse' there."
            )
        if zero_point_impl_type is not None and op not in BOTH_SIDES:
            both = ", ".join(repr(str(each)) for each in BOTH_SIDES)
            raise ValueError(
                f"scaling_stats_op {name!r} measures how far a tensor is from 0, but with "
                f"zero_point_impl_type {str(zero_point_impl_type)!r} the grid begins at its lowest "
                f"number: choose one of {both}."
            )
        return implementation

    @value
    def stats_output_shape(scaling_shape: Any) -> tuple[int, ...]:
        """Of what a statistic learns: one for all where the tensor says how many scales."""
        return () if -1 in scaling_shape else tuple(scaling_shape)

    @value
    def mse_init_op(is_shifted: bool) -> Any:
        return AbsMinMax if is_shifted else AbsMax

    @value
    def hqo_init_op_scale(is_shifted: bool) -> Any:
        return AbsMinMax if is_shifted else AbsMax

    @value
    def bipolar_search(restrict_scaling_type: Any) -> bool:
        restriction = member(RestrictValueType, restrict_scaling_type)
        return restriction is RestrictValueType.SIGNED_FP

    @value
    def scaling_shape_per_channel(
        per_channel_broadcastable_shape: Any, tracked_parameter_list: Any = None
    ) -> tuple[int, ...]:
        """``per_channel_broadcastable_shape``; ValueError where it does not fit a parameter."""
        shape = tuple(per_channel_broadcastable_shape)
        for parameter in tracked_parameter_list or []:
            if len(shape) > parameter.dim() or not _fits(shape, parameter.shape):
                raise ValueError(
                    f"per_channel_broadcastable_shape is {shape}, which does not broadcast to a "
                    f"parameter of shape {tuple(parameter.shape)}; leave it out, or give 1 for "
                    f"each dimension but that of the channels."
                )
        return shape


def _fits(shape: tuple[int, ...], wanted: torch.Size) -> bool:
    try:
        return torch.broadcast_shapes(shape, wanted) == wanted
    except RuntimeError:
        return False
