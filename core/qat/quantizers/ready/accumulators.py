"""Quantizers of accumulators."""

from qat.enums import FloatToIntImplType, TruncScalingImplType
from qat.quantizers.resolve.accumulators import ClampResolver, TruncResolver
from qat.quantizers.resolve.presets import LearnedFromPercentile, PowerOfTwo


class TruncTo8bit(TruncResolver):
    """8 bit, signed or not as the accumulator: its 8 most significant bits, the rest cut off."""

    bit_width = 8
    float_to_int_impl_type = FloatToIntImplType.FLOOR


class RoundTo8bit(TruncTo8bit):
    """8 bit, signed or not as the accumulator: its 8 most significant bits, rounded."""

    float_to_int_impl_type = FloatToIntImplType.ROUND


class ShiftRoundSaturateTo8bit(PowerOfTwo, LearnedFromPercentile, RoundTo8bit):
    """8 bit, signed or not as the accumulator: rounded by as many bits as its range asks for.

    The range is the power of two from the 99.999th percentile of its integers on, learned after
    the first batches; what lies outside saturates.
    """

    trunc_scaling_impl_type = TruncScalingImplType.WRAPPER


class ClampTo8bit(ClampResolver):
    """8 bit signed at most: the integers of the accumulator, saturated; its scale stays."""

    bit_width = 8
    signed = True
