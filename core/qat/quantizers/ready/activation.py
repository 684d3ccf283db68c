"""Activation quantizers."""

from qat.components.quant import ClampedBinaryQuant
from qat.quantizers.resolve.presets import (
    ConstantScale,
    LearnedFromBounds,
    LearnedFromMSE,
    LearnedFromPercentile,
    OneBit,
    SignedInt8,
    UnsignedInt8,
)
from qat.quantizers.resolve.roles import ActResolver


class Int8ActPerTensorFloat(SignedInt8, LearnedFromPercentile, ActResolver):
    """8 bit signed, per tensor; scale learned from the first batches' 99.999th percentile on."""


class Uint8ActPerTensorFloat(UnsignedInt8, LearnedFromPercentile, ActResolver):
    """8 bit unsigned, per tensor; scale learned from the first batches' 99.999th percentile on."""


class Int8ActPerTensorFloatMSE(LearnedFromMSE, Int8ActPerTensorFloat):
    """8 bit signed, per tensor; scale learned from the first batches' least squared error on."""


class Uint8ActPerTensorFloatMSE(LearnedFromMSE, Uint8ActPerTensorFloat):
    """8 bit unsigned, per tensor; scale learned from the first batches' least squared error on."""


class Int8ActPerTensorFloatMinMaxInit(SignedInt8, LearnedFromBounds, ActResolver):
    """8 bit signed, per tensor; threshold learned from ``max(|min_val|, |max_val|)`` on."""


class Uint8ActPerTensorFloatMaxInit(UnsignedInt8, LearnedFromBounds, ActResolver):
    """8 bit unsigned, per tensor; threshold learned from ``max_val`` on."""

    min_val = 0.0


class _ConstantAct(ConstantScale, ActResolver):
    signed = True
    narrow_range = True
    min_val = -1.0
    max_val = 1.0


class SignedBinaryActPerTensorConst(OneBit, _ConstantAct):
    """1 bit, ``-s`` or ``s`` with ``s = max(|min_val|, |max_val|)``, 1 unless given.

    The gradient is zero outside ``[-s, s]``.
    """

    tensor_quant = ClampedBinaryQuant


class SignedTernaryActPerTensorConst(_ConstantAct):
    """2 bit narrow: ``-s``, 0 or ``s`` with ``s = max(|min_val|, |max_val|)``, 1 unless given."""

    bit_width = 2
