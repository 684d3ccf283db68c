"""Weight quantizers."""

from qat.components.clamp import TensorClampSte
from qat.components.quant import ClampedBinaryQuant
from qat.quantizers.resolve.presets import (
    ConstantScale,
    LearnedFromHQO,
    LearnedFromMSE,
    MaxStats,
    NarrowInt8,
    OneBit,
    PerChannel,
)
from qat.quantizers.resolve.roles import WeightResolver


class Int8WeightPerTensorFloat(NarrowInt8, MaxStats, WeightResolver):
    """8 bit signed narrow, per tensor; scale ``max|w| / 127``, recomputed."""


class Int8WeightPerChannelFloat(PerChannel, Int8WeightPerTensorFloat):
    """8 bit signed narrow, per output channel; scale ``max|w| / 127``, recomputed."""


class Int8WeightPerTensorFloatMSE(LearnedFromMSE, Int8WeightPerTensorFloat):
    """8 bit signed narrow, per tensor; scale learned from the least squared error on."""


class Int8WeightPerChannelFloatMSE(LearnedFromMSE, Int8WeightPerChannelFloat):
    """8 bit signed narrow, per output channel; scale learned from the least squared error on."""


class Int8WeightPerTensorFloatHQO(LearnedFromHQO, Int8WeightPerTensorFloat):
    """8 bit signed narrow, per tensor; scale learned from a half-quadratic search on."""


class Int8WeightPerChannelFloatHQO(LearnedFromHQO, Int8WeightPerChannelFloat):
    """8 bit signed narrow, per output channel; scale learned from a half-quadratic search on."""


class _ConstantWeight(ConstantScale, WeightResolver):
    """Scale 0.1; gradient of the identity, the parameter itself is never clipped."""

    scaling_const = 0.1
    signed = True
    narrow_range = True


class SignedBinaryWeightPerTensorConst(OneBit, _ConstantWeight):
    """1 bit, ``-s`` or ``s`` with a constant ``s = scaling_const``, 0.1 unless given."""

    tensor_quant = ClampedBinaryQuant
    tensor_clamp_impl = TensorClampSte


class SignedTernaryWeightPerTensorConst(_ConstantWeight):
    """2 bit narrow: ``-s``, 0 or ``s`` with a constant ``s = scaling_const``, 0.1 unless given."""

    bit_width = 2
