"""Weight quantizers with one scale before the rounding and another behind."""

from typing import Any

from qat.components.bit_width import BitWidthStatefulConst
from qat.components.clamp import TensorClamp, TensorClampSte
from qat.components.quant import (
    DecoupledIntQuant,
    DecoupledRescalingIntQuant,
    DecoupledRescalingIntQuantWithInput,
)
from qat.components.restrict import LogFloatRestrictValue
from qat.components.scaling import (
    AccumulatorAwareParameterPreScaling,
    AccumulatorAwareZeroCenterParameterPreScaling,
    ParameterPreScalingWeightNorm,
    SharedStatsFromParameterScaling,
    StatsFromParameterScaling,
    StatsPreScaling,
)
from qat.components.stats import L1Norm, L2Norm
from qat.components.views import OverOutputChannelView
from qat.components.weight_transforms import PreZeroCenterZeroPoint
from qat.components.zero_point import ZeroZeroPoint
from qat.enums import (
    FloatToIntImplType,
    RestrictValueType,
    ScalingImplType,
    ScalingPerOutputType,
    StatsOp,
    member,
)
from qat.inject import value
from qat.quantizers.resolve.bit_widths import check_narrow_range
from qat.quantizers.resolve.presets import SMALLEST_THRESHOLD, NarrowInt8, PerChannel, PowerOfTwo
from qat.quantizers.resolve.roles import WeightResolver


class _DecoupledWeight(NarrowInt8, WeightResolver):
    """Statistics recomputed in front of the rounding; a scale learned from them on behind it."""

    tensor_quant = DecoupledRescalingIntQuant
    pre_scaling_impl: Any = StatsPreScaling
    pre_zero_point_impl: Any = ZeroZeroPoint
    scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS
    scaling_stats_op = StatsOp.MAX
    tensor_clamp_impl: Any = TensorClampSte

    @value
    def decoupled_int_quant(narrow_range: bool, bit_width: Any) -> Any:
        check_narrow_range(narrow_range, bit_width)
        return DecoupledIntQuant

    @value
    def pre_threshold_impl(module: Any) -> Any:
        shared = isinstance(module, tuple) and len(module) > 1
        return SharedStatsFromParameterScaling if shared else StatsFromParameterScaling


class Int4WeightPerTensorFloatDecoupled(_DecoupledWeight):
    """4 bit signed narrow, per tensor; L2 of the channels' ``max|w|``, and a scale learned from it.

    For depthwise convolutions, whose channels differ widely.
    """

    bit_width = 4
    scaling_stats_op = StatsOp.MAX_L2


class Int4WeightPerTensorFixedPointDecoupled(PowerOfTwo, Int4WeightPerTensorFloatDecoupled):
    """4 bit signed narrow, per tensor; as the float one, both scales powers of two."""


class Int8WeightPerChannelFloatDecoupled(PerChannel, _DecoupledWeight):
    """8 bit signed narrow, per output channel; ``max|w| / 127``, and a scale learned from it."""


class _WeightNorm(PerChannel, _DecoupledWeight):
    """Weight normalization per output channel; norm and scale learned as their logarithms."""

    pre_scaling_impl: Any = ParameterPreScalingWeightNorm
    normalize_stats_class: Any = L2Norm
    pre_scaling_view_impl = OverOutputChannelView
    pre_scaling_min_val: Any = SMALLEST_THRESHOLD
    restrict_pre_scaling_impl = LogFloatRestrictValue
    restrict_scaling_type = RestrictValueType.LOG_FP
    scaling_min_val = SMALLEST_THRESHOLD
    tensor_clamp_impl = TensorClamp

    @value
    def pre_scaling_shape(per_channel_broadcastable_shape: Any, scaling_per_output: Any) -> Any:
        if scaling_per_output is ScalingPerOutputType.GROUP:
            raise NotImplementedError(
                "scaling_per_output_type is 'group' with weight normalization, which is built per "
                "output channel; use 'channel'."
            )
        return per_channel_broadcastable_shape

    @value
    def normalize_stats_impl(normalize_stats_class: Any) -> Any:
        return normalize_stats_class(1)  # of rows, whatever the granularity of the scale


class Int8WeightNormL2PerChannelFixedPoint(_WeightNorm):
    """8 bit signed narrow, per output channel; the weight's L2 norm and the scale learned.

    Source: arXiv:2308.13504.
    """


class _AccumulatorAware(_WeightNorm):
    """The norm, now L1, held where no sum overflows ``accumulator_bit_width``."""

    tensor_quant = DecoupledRescalingIntQuantWithInput
    pre_scaling_impl: Any = AccumulatorAwareParameterPreScaling
    normalize_stats_class = L1Norm
    float_to_int_impl_type = FloatToIntImplType.ROUND_TO_ZERO
    accumulator_bit_width = 32

    @value
    def accumulator_bit_width_impl(accumulator_bit_width: int) -> Any:
        return BitWidthStatefulConst(accumulator_bit_width)

    @value
    def decoupled_int_quant(float_to_int_impl_type: Any, narrow_range: bool, bit_width: Any) -> Any:
        check_narrow_range(narrow_range, bit_width)
        rounding = member(FloatToIntImplType, float_to_int_impl_type)
        if rounding is not FloatToIntImplType.ROUND_TO_ZERO:
            raise ValueError(
                f"float_to_int_impl_type is {str(float_to_int_impl_type)!r}, which can make a "
                f"weight larger and an accumulator overflow; use 'round_to_zero'."
            )
        return DecoupledIntQuant


class Int8AccumulatorAwareWeightQuant(_AccumulatorAware):
    """8 bit signed narrow, per output channel; no sum overflows ``accumulator_bit_width``.

    32 bit unless given. Needs a quantized input. Source: A2Q, arXiv:2301.13376, arXiv:2308.13504.
    """


class Int8AccumulatorAwareZeroCenterWeightQuant(_AccumulatorAware):
    """8 bit signed narrow, per output channel; mean taken off, no sum overflows.

    Of an accumulator of ``accumulator_bit_width``, 32 unless given. Needs a quantized input.
    Source: A2Q+, arXiv:2401.10432.
    """

    pre_scaling_impl = AccumulatorAwareZeroCenterParameterPreScaling
    pre_zero_point_impl = PreZeroCenterZeroPoint
