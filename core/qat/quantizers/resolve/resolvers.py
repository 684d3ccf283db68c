"""Resolver that all roles share: from words to parts.

A quantizer is declared in words (``bit_width = 8``, ``scaling_impl_type = "stats"``). The
``@value`` functions here read the words and name the component, by the tables beside the
components. Whoever wants another part sets the attribute itself (``scaling_impl = MyScaling``).
"""

from typing import Any

from qat.components.clamp import TensorClamp
from qat.components.quant import (
    BinaryQuant,
    FloatQuant,
    IntQuant,
    RealZeroPointIntQuant,
    RescalingIntQuant,
    TernaryQuant,
)
from qat.components.restrict import RESTRICT
from qat.components.scaling import IntScaling, PowerOfTwoIntScaling
from qat.enums import QuantType, RestrictValueType, StatsOp, lookup, member
from qat.inject import value
from qat.quantizers.resolve.bit_widths import BitWidthResolver, check_narrow_range
from qat.quantizers.resolve.float_formats import FloatFormatResolver
from qat.quantizers.resolve.granularity import GranularityResolver, in_granularity
from qat.quantizers.resolve.rounding import RoundingResolver
from qat.quantizers.resolve.statistics import StatisticsResolver
from qat.quantizers.resolve.zero_points import ZeroPointResolver, integer_range

TENSOR_QUANT = {
    QuantType.INT: RescalingIntQuant,
    QuantType.BINARY: BinaryQuant,
    QuantType.TERNARY: TernaryQuant,
    QuantType.FLOAT: FloatQuant,
    QuantType.FP: None,
}
INT_SCALING = {
    RestrictValueType.FP: IntScaling,
    RestrictValueType.SIGNED_FP: IntScaling,
    RestrictValueType.LOG_FP: IntScaling,
    RestrictValueType.INT: IntScaling,
    RestrictValueType.POWER_OF_TWO: PowerOfTwoIntScaling,
}


class Resolver(
    BitWidthResolver,
    FloatFormatResolver,
    GranularityResolver,
    RoundingResolver,
    StatisticsResolver,
    ZeroPointResolver,
):
    """Attributes of every quantizer, whatever the role of the tensor."""

    quant_type = QuantType.INT
    restrict_scaling_type = RestrictValueType.FP
    scaling_min_val: Any = None
    narrow_range = False
    quant_delay_steps = 0

    tensor_clamp_impl: Any = TensorClamp

    @value
    def tensor_quant(quant_type: Any, scaling_per_output: Any) -> Any:
        quantizer = lookup(TENSOR_QUANT, quant_type, "quant_type")
        return in_granularity(quantizer, scaling_per_output)

    @value
    def group_quant(quant_type: Any) -> Any:
        """The quantizer that rows of groups are handed to."""
        return lookup(TENSOR_QUANT, quant_type, "quant_type")

    @value
    def int_quant(narrow_range: bool, quantize_zero_point: bool, bit_width: Any = None) -> Any:
        check_narrow_range(narrow_range, bit_width)
        return IntQuant if quantize_zero_point else RealZeroPointIntQuant

    @value
    def restrict_scaling_impl(restrict_scaling_type: Any, scaling_stats_op: Any = None) -> Any:
        implementation = lookup(RESTRICT, restrict_scaling_type, "restrict_scaling_type")
        has_sign = member(StatsOp, scaling_stats_op) is StatsOp.SIGNED_MAX
        restriction = member(RestrictValueType, restrict_scaling_type)
        if has_sign and restriction is not RestrictValueType.SIGNED_FP:
            raise ValueError(
                f"scaling_stats_op is 'signed_max', whose sign restrict_scaling_type "
                f"{str(restrict_scaling_type)!r} cannot hold; use 'signed_fp', or "
                f"scaling_stats_op 'max'."
            )
        return implementation

    @value
    def int_scaling_impl(restrict_scaling_type: Any, is_shifted: bool) -> Any:
        int_scaling = lookup(INT_SCALING, restrict_scaling_type, "restrict_scaling_type")
        return integer_range(int_scaling, is_shifted)
