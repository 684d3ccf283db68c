"""Unsigned quantizers with a zero point.

Their grid covers an interval that holds 0, with 255 steps at 8 bits: ``scale = (high - low) / 255``
and ``zero_point = -low / scale``.
"""

from typing import Any

from qat.enums import ScalingImplType, StatsOp
from qat.inject import ExtendedInjector
from qat.quantizers.resolve.presets import SMALLEST_THRESHOLD, PerChannel, PowerOfTwo, UnsignedInt8
from qat.quantizers.resolve.roles import ActResolver, WeightResolver


class IntervalFromMinMax(ExtendedInjector):
    """Interval from the smallest to the largest number, found at every call."""

    scaling_impl_type = ScalingImplType.STATS
    zero_point_impl_type: Any = ScalingImplType.STATS
    scaling_stats_op = StatsOp.MIN_MAX
    scaling_min_val: Any = SMALLEST_THRESHOLD


class LearnedInterval(ExtendedInjector):
    """Interval learned from a statistic of its ends on."""

    scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS
    zero_point_impl_type: Any = ScalingImplType.PARAMETER_FROM_STATS
    scaling_min_val: Any = SMALLEST_THRESHOLD


class LearnedFromPercentiles(LearnedInterval):
    """Interval learned from two percentiles of the first ``collect_stats_steps`` batches on."""

    scaling_stats_op = StatsOp.PERCENTILE_INTERVAL
    high_percentile_q = 99.999
    low_percentile_q = 0.001
    collect_stats_steps = 300


class LearnedIntervalFromMSE(LearnedInterval):
    """Interval learned from the one with the least squared quantization error on."""

    scaling_stats_op = StatsOp.MSE


class RealZeroPointFromHQO(ExtendedInjector):
    """Real zero point, learned from a half-quadratic search for the scale that is found on."""

    zero_point_impl_type: Any = ScalingImplType.PARAMETER_FROM_STATS
    zero_point_stats_op: Any = StatsOp.HQO
    quantize_zero_point: Any = False


class ShiftedUint8ActPerTensorFloat(UnsignedInt8, LearnedFromPercentiles, ActResolver):
    """8 bit unsigned with zero point, per tensor; learned from two percentiles on."""


class ShiftedUint8ActPerTensorFloatMSE(LearnedIntervalFromMSE, ShiftedUint8ActPerTensorFloat):
    """8 bit unsigned with zero point, per tensor; learned from the least squared error on."""


class ShiftedUint8ActPerTensorFloatHQO(RealZeroPointFromHQO, ShiftedUint8ActPerTensorFloat):
    """8 bit unsigned with real zero point from a half-quadratic search on, per tensor; learned."""


class ShiftedUint8ActPerTensorFixedPoint(PowerOfTwo, ShiftedUint8ActPerTensorFloat):
    """8 bit unsigned with zero point, per tensor; power of two learned from two percentiles on."""


class ShiftedUint8ActPerTensorFixedPointMSE(
    LearnedIntervalFromMSE, ShiftedUint8ActPerTensorFixedPoint
):
    """8 bit unsigned with zero point, per tensor; power of two learned from the least error on."""


class ShiftedUint8WeightPerTensorFloat(UnsignedInt8, IntervalFromMinMax, WeightResolver):
    """8 bit unsigned with zero point, per tensor; scale ``(max w - min w) / 255``, recomputed."""


class ShiftedUint8WeightPerChannelFloat(PerChannel, ShiftedUint8WeightPerTensorFloat):
    """8 bit unsigned with zero point, per output channel; ``(max w - min w) / 255``, recomputed."""


class ShiftedUint8WeightPerTensorFloatMSE(LearnedIntervalFromMSE, ShiftedUint8WeightPerTensorFloat):
    """8 bit unsigned with zero point, per tensor; learned from the least squared error on."""


class ShiftedUint8WeightPerChannelFloatMSE(
    LearnedIntervalFromMSE, ShiftedUint8WeightPerChannelFloat
):
    """8 bit unsigned with zero point, per output channel; learned from the least error on."""


class ShiftedUint8WeightPerTensorFloatHQO(RealZeroPointFromHQO, ShiftedUint8WeightPerTensorFloat):
    """8 bit unsigned with learned real zero point from a half-quadratic search on, per tensor."""


class ShiftedUint8WeightPerChannelFloatHQO(RealZeroPointFromHQO, ShiftedUint8WeightPerChannelFloat):
    """8 bit unsigned with learned real zero point from a half-quadratic search on, per channel."""
