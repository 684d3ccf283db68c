"""Binary and ternary quantizers with a scale from statistics.

The scale is recomputed at every call, or learned from the statistic on.

Those with a constant scale are in :mod:`qat.quantizers.ready.weight` and
:mod:`qat.quantizers.ready.activation`.
"""

from qat.components.quant import ClampedBinaryQuant
from qat.enums import QuantType, ScalingImplType, StatsOp
from qat.inject import ExtendedInjector
from qat.quantizers.resolve.presets import OneBit, PerChannel
from qat.quantizers.resolve.roles import ActResolver, WeightResolver


class MeanStats(ExtendedInjector):
    """Scale ``mean |x|``, recomputed at every call."""

    scaling_impl_type = ScalingImplType.STATS
    scaling_stats_op = StatsOp.AVE


class LearnedFromMean(ExtendedInjector):
    """Scale learned from ``mean |x|`` on."""

    scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS
    scaling_stats_op = StatsOp.AVE
    collect_stats_steps = 300


class _BinaryWeight(OneBit, WeightResolver):
    quant_type = QuantType.BINARY


class _BinaryAct(OneBit, ActResolver):
    tensor_quant = ClampedBinaryQuant


class _Ternary(ExtendedInjector):
    quant_type = QuantType.INT
    signed = True
    narrow_range = True
    bit_width = 2


class SignedBinaryWeightPerTensorStats(MeanStats, _BinaryWeight):
    """1 bit, per tensor: ``-s`` or ``s`` with ``s = mean|w|``, recomputed."""


class SignedBinaryWeightPerChannelStats(PerChannel, SignedBinaryWeightPerTensorStats):
    """1 bit, per output channel: ``-s`` or ``s`` with ``s = mean|w|``, recomputed."""


class SignedBinaryWeightPerTensorParam(LearnedFromMean, _BinaryWeight):
    """1 bit, per tensor: ``-s`` or ``s``, learned from ``s = mean|w|`` on."""


class SignedBinaryWeightPerChannelParam(PerChannel, SignedBinaryWeightPerTensorParam):
    """1 bit, per output channel: ``-s`` or ``s``, learned from ``s = mean|w|`` on."""


class SignedTernaryWeightPerTensorStats(MeanStats, _Ternary, WeightResolver):
    """2 bit narrow, per tensor: ``-s``, 0 or ``s`` with ``s = mean|w|``, recomputed."""


class SignedTernaryWeightPerChannelStats(PerChannel, SignedTernaryWeightPerTensorStats):
    """2 bit narrow, per output channel: ``-s``, 0 or ``s`` with ``s = mean|w|``, recomputed."""


class SignedTernaryWeightPerTensorParam(LearnedFromMean, _Ternary, WeightResolver):
    """2 bit narrow, per tensor: ``-s``, 0 or ``s``, learned from ``s = mean|w|`` on."""


class SignedTernaryWeightPerChannelParam(PerChannel, SignedTernaryWeightPerTensorParam):
    """2 bit narrow, per output channel: ``-s``, 0 or ``s``, learned from ``s = mean|w|`` on."""


class SignedBinaryActPerTensorStats(MeanStats, _BinaryAct):
    """1 bit, per tensor: ``-s`` or ``s`` with ``s = mean|x|`` of the batch, in evaluation averaged.

    The gradient is zero outside ``[-s, s]``.
    """


class SignedBinaryActPerTensorParam(LearnedFromMean, _BinaryAct):
    """1 bit, per tensor: ``-s`` or ``s``, learned from the first batches' mean magnitude on.

    The gradient is zero outside ``[-s, s]``.
    """


class SignedTernaryActPerTensorStats(MeanStats, _Ternary, ActResolver):
    """2 bit narrow, per tensor: ``-s``, 0 or ``s``, ``s = mean|x|``, in evaluation averaged."""


class SignedTernaryActPerTensorParam(LearnedFromMean, _Ternary, ActResolver):
    """2 bit narrow, per tensor: ``-s``, 0, ``s``, learned from the first batches' mean|x| on."""
