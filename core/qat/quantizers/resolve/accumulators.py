"""Resolvers of accumulators: truncation and clamp."""

from typing import Any

from qat.components.bit_width import BIT_WIDTH_TO_REMOVE, MIN_BIT_WIDTH, MsbClampBitWidth
from qat.components.quant import PrescaledRestrictIntQuantWithInputBitWidth, TruncIntQuant
from qat.components.scaling import TRUNC_SCALING, PowerOfTwoIntScaling
from qat.enums import QuantType, RestrictValueType, Role, TruncScalingImplType, lookup
from qat.inject import this, value
from qat.quantizers.resolve.resolvers import Resolver
from qat.quantizers.resolve.roles import RuntimeResolver

TRUNC_QUANT = {QuantType.INT: TruncIntQuant, QuantType.FP: None}
CLAMP_QUANT = {QuantType.INT: PrescaledRestrictIntQuantWithInputBitWidth, QuantType.FP: None}
#: A shift drops a factor that is a power of two.
TRUNC_INT_SCALING = {RestrictValueType.POWER_OF_TWO: PowerOfTwoIntScaling}


class TruncResolver(RuntimeResolver):
    """A quantizer that drops low bits of accumulators: the most, or as their statistics say."""

    role = Role.TRUNCATED_ACCUMULATOR
    trunc_scaling_impl_type = TruncScalingImplType.MSB

    @value
    def tensor_quant(quant_type: Any) -> Any:
        return lookup(TRUNC_QUANT, quant_type, "quant_type of a truncation")

    @value
    def trunc_scaling_impl(trunc_scaling_impl_type: Any) -> Any:
        return lookup(TRUNC_SCALING, trunc_scaling_impl_type, "trunc_scaling_impl_type")

    @value
    def trunc_int_scaling_impl(restrict_scaling_type: Any) -> Any:
        return lookup(
            TRUNC_INT_SCALING, restrict_scaling_type, "restrict_scaling_type of a truncation"
        )


class ClampResolver(Resolver):
    """A quantizer that drops high bits of accumulators: ``bit_width_to_remove`` of them.

    What is left is kept from ``min_overall_bit_width`` to ``max_overall_bit_width``, which is
    ``bit_width`` unless given. With ``bit_width_impl_type`` ``"parameter"`` the number of bits to
    remove is learned.
    """

    role = Role.CLAMPED_ACCUMULATOR
    bit_width_impl = MsbClampBitWidth
    bit_width_to_remove = 0
    min_overall_bit_width = MIN_BIT_WIDTH
    max_overall_bit_width = this.bit_width

    @value
    def tensor_quant(quant_type: Any) -> Any:
        return lookup(CLAMP_QUANT, quant_type, "quant_type of a clamp")

    @value
    def bit_width_to_remove_impl(bit_width_impl_type: Any) -> Any:
        return lookup(BIT_WIDTH_TO_REMOVE, bit_width_impl_type, "bit_width_impl_type of a clamp")
