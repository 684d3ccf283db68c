"""Ready-made bias quantizers."""

from qat.inject import ExtendedInjector

from .presets import MaxStats, SignedInt8
from .roles import BiasResolver


class Int8Bias(SignedInt8, BiasResolver):
    """8 bit signed, in the scale of the accumulator: input scale times weight scale."""

    requires_input_scale = True


class Int16Bias(Int8Bias):
    """16 bit signed, in the scale of the accumulator: input scale times weight scale."""

    bit_width = 16


class Int32Bias(Int8Bias):
    """32 bit signed, in the scale of the accumulator: input scale times weight scale."""

    bit_width = 32


class Int8BiasPerTensorFloatInternalScaling(SignedInt8, MaxStats, BiasResolver):
    """8 bit signed, per tensor; scale ``max|b| / 128``, recomputed."""


BIAS: dict[str, type[ExtendedInjector]] = {
    quantizer.__name__: quantizer
    for quantizer in (Int8Bias, Int16Bias, Int32Bias, Int8BiasPerTensorFloatInternalScaling)
}
