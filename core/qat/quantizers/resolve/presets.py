"""Groups of attributes that ready-made quantizers are composed of."""

from typing import Any

from qat.components.quant import RescalingIntQuant
from qat.components.rounding import CeilSte
from qat.enums import (
    QuantType,
    RestrictValueType,
    ScalingImplType,
    ScalingPerOutputType,
    StatsOp,
)
from qat.inject import ExtendedInjector

#: Thresholds below this are noise: the bound that keeps an all-zero tensor's scale positive.
SMALLEST_THRESHOLD = 1e-10


class SignedInt8(ExtendedInjector):
    """8 bit signed: -128 to 127."""

    quant_type = QuantType.INT
    signed = True
    bit_width = 8


class NarrowInt8(SignedInt8):
    """8 bit signed without the most negative value: -127 to 127."""

    narrow_range = True


class UnsignedInt8(ExtendedInjector):
    """8 bit unsigned: 0 to 255."""

    quant_type = QuantType.INT
    signed = False
    bit_width = 8


class OneBit(ExtendedInjector):
    """1 bit signed: -1 and 1; ``wider_class`` is the quantizer of more bits in its place."""

    signed = True
    bit_width = 1
    wider_class: Any = RescalingIntQuant


class PerChannel(ExtendedInjector):
    """One scale per channel."""

    scaling_per_output_type = ScalingPerOutputType.CHANNEL


class PowerOfTwo(ExtendedInjector):
    """Scale rounded up to a power of two."""

    restrict_scaling_type = RestrictValueType.POWER_OF_TWO
    restrict_value_float_to_int_impl = CeilSte


class MaxStats(ExtendedInjector):
    """Scale from the largest magnitude, recomputed at every call."""

    scaling_impl_type = ScalingImplType.STATS
    scaling_stats_op = StatsOp.MAX
    scaling_min_val: Any = SMALLEST_THRESHOLD


class LearnedFromMSE(ExtendedInjector):
    """Scale learned from the one with the least squared quantization error on."""

    scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS
    scaling_stats_op = StatsOp.MSE
    scaling_min_val: Any = SMALLEST_THRESHOLD


class LearnedFromHQO(ExtendedInjector):
    """Scale learned from the one that a half-quadratic search finds on."""

    scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS
    scaling_stats_op = StatsOp.HQO
    scaling_min_val: Any = SMALLEST_THRESHOLD


class LearnedFromPercentile(ExtendedInjector):
    """Scale learned from a high percentile of the first ``collect_stats_steps`` batches on."""

    scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS
    scaling_stats_op = StatsOp.PERCENTILE
    collect_stats_steps = 300
    scaling_min_val: Any = SMALLEST_THRESHOLD


class LearnedFromBounds(ExtendedInjector):
    """Scale learned from ``min_val`` and ``max_val`` on."""

    scaling_impl_type = ScalingImplType.PARAMETER


class ConstantScale(ExtendedInjector):
    """Scale that stays as given."""

    scaling_impl_type = ScalingImplType.CONST
