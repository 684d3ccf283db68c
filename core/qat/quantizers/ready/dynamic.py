"""Activation quantizers with the scale of the tensor at hand.

In training and in evaluation alike.
"""

from typing import Any

from qat.enums import ScalingImplType, ScalingPerOutputType, StatsOp
from qat.inject import ExtendedInjector
from qat.quantizers.resolve.presets import SMALLEST_THRESHOLD, SignedInt8, UnsignedInt8
from qat.quantizers.resolve.roles import ActResolver


class DynamicMax(ExtendedInjector):
    """Scale from the largest magnitude of the tensor at hand."""

    scaling_impl_type = ScalingImplType.DYNAMIC
    scaling_stats_op = StatsOp.MAX
    scaling_min_val: Any = SMALLEST_THRESHOLD


class Int8DynamicActPerTensorFloat(SignedInt8, DynamicMax, ActResolver):
    """8 bit signed, per tensor; scale ``max|x| / 128`` of the tensor at hand."""


class Uint8DynamicActPerTensorFloat(UnsignedInt8, DynamicMax, ActResolver):
    """8 bit unsigned, per tensor; scale ``max|x| / 255`` of the tensor at hand."""


class Int8DynamicActPerRowFloat(Int8DynamicActPerTensorFloat):
    """8 bit signed, per row of ``[..., features]``; scale ``max|x| / 128`` of the row at hand."""

    scaling_per_output_type = ScalingPerOutputType.ROW
