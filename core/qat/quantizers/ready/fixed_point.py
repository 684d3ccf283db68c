"""Quantizers whose scale is a power of two.

The threshold is rounded up to a power of two, so that nothing more is clipped, and the scale is
that over ``2**7`` for a signed grid of 8 bits, over ``2**8`` for an unsigned one.
"""

from qat.quantizers.ready.activation import (
    Int8ActPerTensorFloat,
    Int8ActPerTensorFloatMinMaxInit,
    Uint8ActPerTensorFloat,
    Uint8ActPerTensorFloatMaxInit,
)
from qat.quantizers.ready.bias import Int8BiasPerTensorFloatInternalScaling
from qat.quantizers.ready.weight import Int8WeightPerTensorFloat
from qat.quantizers.resolve.presets import LearnedFromMSE, PerChannel, PowerOfTwo


class Int8WeightPerTensorFixedPoint(PowerOfTwo, Int8WeightPerTensorFloat):
    """8 bit signed narrow, per tensor; scale a power of two from ``max|w| / 128`` on, per call."""


class Int8WeightPerChannelFixedPoint(PerChannel, Int8WeightPerTensorFixedPoint):
    """8 bit signed narrow, per output channel; scale a power of two from ``max|w| / 128`` on."""


class Int8WeightPerTensorFixedPointMSE(LearnedFromMSE, Int8WeightPerTensorFixedPoint):
    """8 bit signed narrow, per tensor; power of two learned from the least squared error on."""


class Int8WeightPerChannelFixedPointMSE(LearnedFromMSE, Int8WeightPerChannelFixedPoint):
    """8 bit signed narrow, per output channel; power of two learned from the least error on."""


class Int8ActPerTensorFixedPoint(PowerOfTwo, Int8ActPerTensorFloat):
    """8 bit signed, per tensor; scale a power of two, learned from the 99.999th percentile on."""


class Uint8ActPerTensorFixedPoint(PowerOfTwo, Uint8ActPerTensorFloat):
    """8 bit unsigned, per tensor; scale a power of two, learned from the 99.999th percentile on."""


class Int8ActPerTensorFixedPointMSE(LearnedFromMSE, Int8ActPerTensorFixedPoint):
    """8 bit signed, per tensor; power of two learned from the least squared error on."""


class Uint8ActPerTensorFixedPointMSE(LearnedFromMSE, Uint8ActPerTensorFixedPoint):
    """8 bit unsigned, per tensor; power of two learned from the least squared error on."""


class Int8ActPerTensorFixedPointMinMaxInit(PowerOfTwo, Int8ActPerTensorFloatMinMaxInit):
    """8 bit signed, per tensor; power of two learned from ``max(|min_val|, |max_val|)`` on."""


class Uint8ActPerTensorFixedPointMaxInit(PowerOfTwo, Uint8ActPerTensorFloatMaxInit):
    """8 bit unsigned, per tensor; power of two learned from ``max_val`` on."""


class Int8BiasPerTensorFixedPointInternalScaling(PowerOfTwo, Int8BiasPerTensorFloatInternalScaling):
    """8 bit signed, per tensor; scale a power of two from ``max|b| / 128`` on, per call."""
