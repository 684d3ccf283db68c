"""Resolver of the zero point."""

from collections.abc import Mapping
from typing import Any

from qat.components.scaling import IntScaling, PowerOfTwoIntScaling
from qat.components.stats import ZERO_POINT_STATS
from qat.components.zero_point import (
    ParameterFromRuntimeZeroPoint,
    ParameterFromStatsFromParameterZeroPoint,
    ParameterZeroPoint,
    RuntimeDynamicZeroPoint,
    SharedStatsFromParameterZeroPoint,
    StatsFromParameterZeroPoint,
    ZeroZeroPoint,
)
from qat.enums import ScalingImplType, choice, lookup, member
from qat.inject import ExtendedInjector, this, value


def when_shared(table: Mapping[ScalingImplType, Any], of_all: Any) -> dict[ScalingImplType, Any]:
    """``table`` for several layers that share a quantizer: a statistic is taken ``of_all``."""
    return {**table, ScalingImplType.STATS: of_all, ScalingImplType.DYNAMIC: of_all}


PARAMETER_ZERO_POINT = {
    ScalingImplType.PARAMETER: ParameterZeroPoint,
    ScalingImplType.PARAMETER_FROM_STATS: ParameterFromStatsFromParameterZeroPoint,
    ScalingImplType.STATS: StatsFromParameterZeroPoint,
    ScalingImplType.DYNAMIC: StatsFromParameterZeroPoint,  # a parameter is always at hand
}
SHARED_PARAMETER_ZERO_POINT = when_shared(PARAMETER_ZERO_POINT, SharedStatsFromParameterZeroPoint)
RUNTIME_ZERO_POINT = {
    ScalingImplType.PARAMETER: ParameterZeroPoint,
    ScalingImplType.PARAMETER_FROM_STATS: ParameterFromRuntimeZeroPoint,
    ScalingImplType.DYNAMIC: RuntimeDynamicZeroPoint,
}

LEARNED = (ScalingImplType.PARAMETER, ScalingImplType.PARAMETER_FROM_STATS)


def integer_range(int_scaling: type, is_shifted: bool) -> Any:
    """What a threshold is divided by; the interval of a shifted grid by the number of its steps.

    Those are the steps of the unsigned grid, whatever the sign of this one.
    """
    if not is_shifted:
        return int_scaling
    if int_scaling is PowerOfTwoIntScaling:
        return PowerOfTwoIntScaling(signed=False)
    return IntScaling(signed=False, narrow_range=False)


def widest(bounds: list[float], is_shifted: bool) -> float:
    """The threshold that ``bounds`` give: how far they are from 0, or from one to the other."""
    if not is_shifted:
        return max(map(abs, bounds))
    return max(*bounds, 0.0) - min(*bounds, 0.0)


def is_learned_zero_point(zero_point_impl_type: Any) -> bool:
    """Whether this choice, by enum or name, is a learned zero point."""
    return member(ScalingImplType, zero_point_impl_type) in LEARNED


class ZeroPointResolver(ExtendedInjector):
    """Attributes of a grid that begins at the lowest number of a tensor.

    ``zero_point_impl_type``: where the zero point comes from, in the words of
    ``scaling_impl_type``; None for a grid around 0. ``zero_point_stats_op``: the statistic it is
    taken from, that of the scale unless given. ``quantize_zero_point``: whether it is an integer.
    ``zero_point_init``: start of a learned one, in units of the tensor.
    """

    zero_point_impl_type: Any = None
    zero_point_stats_op: Any = this.scaling_stats_op
    quantize_zero_point: Any = True
    zero_point_shape = this.scaling_shape
    zero_point_stats_input_view_shape_impl = this.scaling_stats_input_view_shape_impl
    zero_point_stats_momentum = this.scaling_stats_momentum

    @value
    def is_shifted(zero_point_impl_type: Any) -> bool:
        return zero_point_impl_type is not None

    @value
    def zero_point_impl(zero_point_impl_type: Any, tracked_parameter_list: Any = None) -> Any:
        if zero_point_impl_type is None:
            return ZeroZeroPoint
        if tracked_parameter_list is None:
            table: Any = RUNTIME_ZERO_POINT
        elif len(tracked_parameter_list) > 1:
            table = SHARED_PARAMETER_ZERO_POINT
        else:
            table = PARAMETER_ZERO_POINT
        kind = choice(ScalingImplType, zero_point_impl_type, "zero_point_impl_type")
        if kind not in table:
            what = "activations" if tracked_parameter_list is None else "parameters"
            known = ", ".join(repr(str(each)) for each in table)
            raise NotImplementedError(
                f"zero_point_impl_type {str(kind)!r} is not built for {what}; use one of {known}."
            )
        return table[kind]

    @value
    def zero_point_stats_impl(zero_point_stats_op: Any) -> Any:
        return lookup(ZERO_POINT_STATS, zero_point_stats_op, "zero_point_stats_op")

    @value
    def zero_point_init(min_val: Any = None, tracked_parameter_list: Any = None) -> float:
        if min_val is not None:
            return max(0.0, -float(min_val))
        if tracked_parameter_list is not None:
            raise ValueError(
                "zero_point_impl_type is 'parameter', and nothing says where the grid begins: give "
                "min_val (or zero_point_init, its distance from 0), or use 'parameter_from_stats'."
            )
        return 0.0
