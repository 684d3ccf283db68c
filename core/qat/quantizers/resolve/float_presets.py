"""Groups of attributes that minifloat quantizers are composed of.

A format (``Fp8e4m3Mixin``, with ``FpOCPMixin`` or ``FpFNUZMixin`` for its variant) and a base that
says where the scale is from make a quantizer of the reader's own::

    class Fp6e3m2WeightPerChannelFloat(PerChannel, Fp6e3m2Mixin, ScaledFloatWeightBase):
        ...
"""

from typing import Any

from qat.enums import QuantType, ScalingImplType, ScalingPerOutputType, StatsOp
from qat.formats import FNUZ_SPECIAL, NO_SPECIAL, OCP_SPECIAL, SpecialValues, standard_bias
from qat.inject import ExtendedInjector, value
from qat.quantizers.resolve.presets import SMALLEST_THRESHOLD, LearnedFromMSE, MaxStats, PerChannel
from qat.quantizers.resolve.roles import ActResolver, WeightResolver


class FloatBase(ExtendedInjector):
    """Signed minifloats, of a format that is named beside."""

    quant_type = QuantType.FLOAT
    signed = True


class Unscaled(ExtendedInjector):
    """The scale is 1: numbers are rounded to those of the format itself."""

    scaling_impl_type = ScalingImplType.CONST
    scaling_const: Any = 1.0
    float_scaling_impl = None


class LearnedFromMaximum(ExtendedInjector):
    """Scale learned from the largest magnitudes of the first ``collect_stats_steps`` batches on."""

    scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS
    scaling_stats_op = StatsOp.MAX
    collect_stats_steps = 300
    scaling_min_val: Any = SMALLEST_THRESHOLD


class PerChannel2d(PerChannel):
    """Of ``[N, C, H, W]``; ``per_channel_broadcastable_shape`` is to be given: (1, C, 1, 1)."""

    scaling_per_output_type = ScalingPerOutputType.CHANNEL
    scaling_stats_permute_dims = (1, 0, 2, 3)


class FloatWeightBase(FloatBase, Unscaled, WeightResolver):
    """Weights as minifloats, without a scale."""


class FloatActBase(FloatBase, Unscaled, ActResolver):
    """Activations as minifloats, without a scale."""


class ScaledFloatWeightBase(FloatBase, MaxStats, WeightResolver):
    """Weights as minifloats; scale ``max|w|`` over the largest number, recomputed."""


class ScaledFloatActBase(FloatBase, LearnedFromMaximum, ActResolver):
    """Activations as minifloats; scale learned from the first batches' ``max|x|`` on."""


class ScaledFloatWeightMSEBase(LearnedFromMSE, ScaledFloatWeightBase):
    """Weights as minifloats; scale learned from the least squared error on."""


class ScaledFloatActMSEBase(LearnedFromMSE, ScaledFloatActBase):
    """Activations as minifloats; scale learned from the first batches' least squared error on."""


class FpOCPMixin(ExtendedInjector):
    """The variant of the OCP: FP8 has NaN, E5M2 infinity too; smaller formats have neither.

    Source: OCP 8-bit Floating Point Specification (OFP8) 1.0, 2023.
    """

    @value
    def special_values(exponent_bit_width: Any, mantissa_bit_width: Any) -> SpecialValues:
        return OCP_SPECIAL.get((exponent_bit_width, mantissa_bit_width), NO_SPECIAL)


class FpFNUZMixin(ExtendedInjector):
    """The variant FNUZ: finite, NaN at unsigned zero, and the exponent bias one higher.

    Source: Noune et al. 2022, arXiv:2206.02915.
    """

    special_values = FNUZ_SPECIAL

    @value
    def exponent_bias(exponent_bit_width: Any) -> int:
        return standard_bias(exponent_bit_width) + 1
