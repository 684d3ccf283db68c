"""Quantizers of the MX formats: blocks with a power of two.

The scale of a block is ``2**(floor(log2 max|x|) - emax)``, with ``2**emax`` the largest power of
two of the element format: 8 for OCP E4M3, 15 for OCP E5M2, 4, 2 and 2 for E3M2, E2M3 and E2M1, and
0 for the 8 bit integers, which are read as multiples of ``2**-6``. What exceeds the largest element
saturates. Minifloats as elements are made by :mod:`qat.quantizers.ready.minifloat_table`.

Blocks of a weight lie along its input channels, those of an activation along the channels that the
layer behind it sums over (``group_dim``, to be given where there is no such layer). The scales of
an activation are those of the tensor at hand, in training and in evaluation.

Source: OCP Microscaling Formats (MX) Specification 1.0, 2023, sections 5 and 6.3. Grids with a zero
point, the names with ``Shifted``, are not part of it; they apply the same rule to the width of the
interval that a block covers.
"""

from typing import Any

from qat.components.restrict import FloorPowerOfTwoRestrictValue
from qat.components.scaling import ElementIntScaling
from qat.enums import RestrictValueType, ScalingImplType, ScalingPerOutputType, StatsOp
from qat.inject import ExtendedInjector, value
from qat.quantizers.resolve.float_presets import FloatBase, FpOCPMixin
from qat.quantizers.resolve.presets import LearnedFromMSE, SignedInt8, UnsignedInt8
from qat.quantizers.resolve.roles import ActResolver, WeightResolver


class MXMixin(ExtendedInjector):
    """Blocks of 32, each with a power of two as its scale.

    Source: OCP Microscaling Formats (MX) Specification 1.0, 2023.
    """

    scaling_per_output_type = ScalingPerOutputType.GROUP
    group_size = 32
    scaling_stats_op = StatsOp.MAX
    restrict_scaling_type = RestrictValueType.POWER_OF_TWO
    restrict_scaling_impl = FloorPowerOfTwoRestrictValue
    scaling_min_val: Any = None  # a bound that is no power of two would not be a scale

    @value
    def int_scaling_impl(is_shifted: bool) -> Any:
        return ElementIntScaling(signed=False) if is_shifted else ElementIntScaling


class MXWeightMixin(MXMixin):
    """The scale of each block of a weight, recomputed at every call."""

    scaling_impl_type = ScalingImplType.STATS


class MXActMixin(MXMixin):
    """The scale of each block of the tensor at hand."""

    scaling_impl_type = ScalingImplType.DYNAMIC


class MXMSEMixin(LearnedFromMSE):
    """The scale of each block learned from the one of least squared error on."""

    scaling_min_val: Any = None


class MXInt8Weight(MXWeightMixin, SignedInt8, WeightResolver):
    """8 bit signed, per block of 32; scale ``2**floor(log2 max|w|) / 64``, recomputed."""


class MXInt8Act(MXActMixin, SignedInt8, ActResolver):
    """8 bit signed, per block of 32; scale ``2**floor(log2 max|x|) / 64`` of the block at hand."""


class MXInt8WeightMSE(MXMSEMixin, MXInt8Weight):
    """8 bit signed, per block of 32; scale a power of two, learned from the least error on."""


class ShiftedMXUInt8Weight(MXWeightMixin, UnsignedInt8, WeightResolver):
    """8 bit unsigned, per block of 32; scale ``2**floor(log2 (max w - min w)) / 128``, recomputed.

    The zero point is that of the lowest number of the block.
    """

    scaling_stats_op = StatsOp.MIN_MAX
    zero_point_impl_type = ScalingImplType.STATS


class ShiftedMXUInt8WeightMSE(MXMSEMixin, ShiftedMXUInt8Weight):
    """8 bit unsigned, per block of 32; scale and zero point learned from the least error on."""

    zero_point_impl_type = ScalingImplType.PARAMETER_FROM_STATS


class MXFloatWeight(MXWeightMixin, FpOCPMixin, FloatBase, WeightResolver):
    """Float of a width to be given, per block of 32; scale a power of two, recomputed."""


class MXFloatAct(MXActMixin, FpOCPMixin, FloatBase, ActResolver):
    """Float of a width to be given, per block of 32; scale a power of two of the block at hand."""
