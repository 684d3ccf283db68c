"""How the attributes of a quantizer turn into its parts: what all roles share.

A quantizer is declared in words (``bit_width = 8``, ``scaling_impl_type = "stats"``). The
``@value`` functions here read the words and name the component, by the tables beside the
components. Whoever wants another part sets the attribute itself (``scaling_impl = MyScaling``).
"""

from typing import Any

from qat.components.bit_width import BitWidthConst
from qat.components.clamp import TensorClamp
from qat.components.quant import BinaryQuant, IntQuant, RescalingIntQuant, TernaryQuant
from qat.components.restrict import RESTRICT
from qat.components.rounding import FLOAT_TO_INT
from qat.components.scaling import IntScaling, PowerOfTwoIntScaling
from qat.components.shape import OverOutputChannelView, OverTensorView
from qat.components.stats import STATS
from qat.components.zero_point import ZeroZeroPoint
from qat.enums import (
    BitWidthImplType,
    QuantType,
    RestrictValueType,
    ScalingPerOutputType,
    StatsOp,
    lookup,
)
from qat.inject import ExtendedInjector, this, value

TENSOR_QUANT = {
    QuantType.INT: RescalingIntQuant,
    QuantType.BINARY: BinaryQuant,
    QuantType.TERNARY: TernaryQuant,
}
BIT_WIDTH = {BitWidthImplType.CONST: BitWidthConst}
INT_SCALING = {
    RestrictValueType.FP: IntScaling,
    RestrictValueType.LOG_FP: IntScaling,
    RestrictValueType.POWER_OF_TWO: PowerOfTwoIntScaling,
}
#: Statistics that average over rows: they need the view per channel, and give one number.
OVER_ROWS = (StatsOp.MAX_AVE, StatsOp.MAX_L2)
GRANULARITY = {each: each for each in ScalingPerOutputType}
#: Dimension of a view ``[rows, elements]`` that a statistic per row reduces.
ROW_REDUCE_DIM = 1


def _reduces_rows(scaling_stats_op: Any) -> bool:
    return str(scaling_stats_op).lower() in OVER_ROWS


def _takes_rows(scaling_per_output: Any, scaling_stats_op: Any) -> bool:
    return scaling_per_output != ScalingPerOutputType.TENSOR or _reduces_rows(scaling_stats_op)


class Resolver(ExtendedInjector):
    """Attributes of every quantizer, whatever the role of the tensor."""

    quant_type = QuantType.INT
    bit_width_impl_type = BitWidthImplType.CONST
    float_to_int_impl_type = "round"
    restrict_scaling_type = RestrictValueType.FP
    scaling_per_output_type = ScalingPerOutputType.TENSOR
    #: True for CHANNEL, False for TENSOR; where given, it wins over ``scaling_per_output_type``.
    scaling_per_output_channel: Any = None
    scaling_min_val: Any = None
    scaling_stats_permute_dims = None
    narrow_range = False
    high_percentile_q = 99.999
    quant_delay_steps = 0

    tensor_clamp_impl: Any = TensorClamp
    zero_point_impl = ZeroZeroPoint
    permute_dims = this.scaling_stats_permute_dims

    @value
    def tensor_quant(quant_type: Any) -> Any:
        return lookup(TENSOR_QUANT, quant_type, "quant_type")

    @value
    def int_quant(narrow_range: bool, bit_width: Any = None) -> Any:
        if narrow_range and bit_width == 1:
            raise ValueError(
                "bit_width is 1 with narrow_range, a grid that holds only 0; use bit_width 2 or "
                "more, narrow_range False, or a binary quantizer (SignedBinary...)."
            )
        return IntQuant

    @value
    def bit_width_impl(bit_width_impl_type: Any) -> Any:
        return lookup(BIT_WIDTH, bit_width_impl_type, "bit_width_impl_type")

    @value
    def float_to_int_impl(float_to_int_impl_type: Any) -> Any:
        return lookup(FLOAT_TO_INT, float_to_int_impl_type, "float_to_int_impl_type")

    @value
    def restrict_scaling_impl(restrict_scaling_type: Any) -> Any:
        return lookup(RESTRICT, restrict_scaling_type, "restrict_scaling_type")

    @value
    def int_scaling_impl(restrict_scaling_type: Any) -> Any:
        return lookup(INT_SCALING, restrict_scaling_type, "restrict_scaling_type")

    @value
    def scaling_per_output(scaling_per_output_type: Any, scaling_per_output_channel: Any) -> Any:
        """The granularity, a :class:`qat.enums.ScalingPerOutputType`."""
        if scaling_per_output_channel is None:
            return lookup(GRANULARITY, scaling_per_output_type, "scaling_per_output_type")
        per_channel = bool(scaling_per_output_channel)
        return ScalingPerOutputType.CHANNEL if per_channel else ScalingPerOutputType.TENSOR

    @value
    def scaling_stats_impl(scaling_stats_op: Any, scaling_per_output: Any) -> Any:
        implementation = lookup(STATS, scaling_stats_op, "scaling_stats_op")
        is_whole = scaling_per_output == ScalingPerOutputType.TENSOR
        if not is_whole and _reduces_rows(scaling_stats_op):
            raise ValueError(
                f"scaling_stats_op {str(scaling_stats_op)!r} gives one number for the tensor; "
                f"set scaling_per_output_channel to False, or choose another statistic."
            )
        return implementation

    @value
    def scaling_shape(scaling_per_output: Any) -> Any:
        per_channel = scaling_per_output == ScalingPerOutputType.CHANNEL
        return this.per_channel_broadcastable_shape if per_channel else ()

    @value
    def stats_reduce_dim(scaling_per_output: Any, scaling_stats_op: Any = None) -> Any:
        by_row = _takes_rows(scaling_per_output, scaling_stats_op)
        return ROW_REDUCE_DIM if by_row else None

    @value
    def scaling_stats_input_view_shape_impl(
        scaling_per_output: Any, scaling_stats_op: Any = None
    ) -> Any:
        by_row = _takes_rows(scaling_per_output, scaling_stats_op)
        return OverOutputChannelView if by_row else OverTensorView
