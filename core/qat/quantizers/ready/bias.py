"""Bias quantizers."""

from qat.quantizers.resolve.presets import MaxStats, SignedInt8
from qat.quantizers.resolve.roles import BiasResolver


class IntBias(SignedInt8, BiasResolver):
    """32 bit signed unless ``bit_width`` is given, in the scale of the accumulator.

    That is the input scale times the weight scale.
    """

    bit_width = 32
    requires_input_scale = True


class Int8Bias(IntBias):
    """8 bit signed, in the scale of the accumulator: input scale times weight scale."""

    bit_width = 8


class Int16Bias(IntBias):
    """16 bit signed, in the scale of the accumulator: input scale times weight scale."""

    bit_width = 16


class Int24Bias(IntBias):
    """24 bit signed, in the scale of the accumulator: input scale times weight scale."""

    bit_width = 24


class Int32Bias(IntBias):
    """32 bit signed, in the scale of the accumulator: input scale times weight scale."""

    bit_width = 32


class Int8BiasPerTensorFloatInternalScaling(SignedInt8, MaxStats, BiasResolver):
    """8 bit signed, per tensor; scale ``max|b| / 128``, recomputed."""
