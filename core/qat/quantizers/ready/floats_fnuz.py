"""Ready-made minifloat quantizers of the variant FNUZ, finite with NaN at unsigned zero.

The first ones are of any width: ``exponent_bit_width`` and ``mantissa_bit_width`` are to be given.
"""

from qat.inject import ExtendedInjector
from qat.quantizers.resolve.float_presets import (
    FloatActBase,
    FloatWeightBase,
    Fp8e4m3Mixin,
    Fp8e5m2Mixin,
    FpFNUZMixin,
    PerChannel2d,
    ScaledFloatActBase,
    ScaledFloatActMSEBase,
    ScaledFloatWeightBase,
    ScaledFloatWeightMSEBase,
)
from qat.quantizers.resolve.presets import PerChannel


class FpFNUZWeight(FpFNUZMixin, FloatWeightBase):
    """Float, FNUZ, unscaled."""


class FpFNUZAct(FpFNUZMixin, FloatActBase):
    """Float, FNUZ, unscaled."""


class FpFNUZWeightPerTensorFloat(FpFNUZMixin, ScaledFloatWeightBase):
    """Float, FNUZ, per tensor; scale ``max|w|`` over the largest number, recomputed."""


class FpFNUZWeightPerChannelFloat(PerChannel, FpFNUZMixin, ScaledFloatWeightBase):
    """Float, FNUZ, per output channel; scale ``max|w|`` over the largest number, recomputed."""


class FpFNUZActPerTensorFloat(FpFNUZMixin, ScaledFloatActBase):
    """Float, FNUZ, per tensor; scale learned from ``max|x|`` on."""


class FpFNUZActPerChannelFloat2d(PerChannel2d, FpFNUZMixin, ScaledFloatActBase):
    """Float, FNUZ, per channel of [N, C, H, W]; learned from ``max|x|`` on."""


class FpFNUZWeightPerTensorFloatMSE(FpFNUZMixin, ScaledFloatWeightMSEBase):
    """Float, FNUZ, per tensor; scale learned from the least squared error on."""


class FpFNUZWeightPerChannelFloatMSE(PerChannel, FpFNUZMixin, ScaledFloatWeightMSEBase):
    """Float, FNUZ, per channel; scale learned from the least squared error on."""


class FpFNUZActPerTensorFloatMSE(FpFNUZMixin, ScaledFloatActMSEBase):
    """Float, FNUZ, per tensor; scale learned from the least squared error on."""


class FpFNUZActPerChannelFloat2dMSE(PerChannel2d, FpFNUZMixin, ScaledFloatActMSEBase):
    """Float, FNUZ, per channel; scale learned from the least squared error on."""


class Fp8e4m3FNUZWeight(Fp8e4m3Mixin, FpFNUZWeight):
    """8 bit float E4M3 FNUZ, unscaled: up to 240."""


class Fp8e4m3FNUZAct(Fp8e4m3Mixin, FpFNUZAct):
    """8 bit float E4M3 FNUZ, unscaled: up to 240."""


class Fp8e4m3FNUZWeightPerTensorFloat(Fp8e4m3Mixin, FpFNUZWeightPerTensorFloat):
    """8 bit float E4M3 FNUZ, per tensor; scale ``max|w| / 240``, recomputed."""


class Fp8e4m3FNUZWeightPerChannelFloat(Fp8e4m3Mixin, FpFNUZWeightPerChannelFloat):
    """8 bit float E4M3 FNUZ, per output channel; scale ``max|w| / 240``, recomputed."""


class Fp8e4m3FNUZActPerTensorFloat(Fp8e4m3Mixin, FpFNUZActPerTensorFloat):
    """8 bit float E4M3 FNUZ, per tensor; scale learned from ``max|x| / 240`` on."""


class Fp8e4m3FNUZWeightPerTensorFloatMSE(Fp8e4m3Mixin, FpFNUZWeightPerTensorFloatMSE):
    """8 bit float E4M3 FNUZ, per tensor; scale learned from the least squared error on."""


class Fp8e4m3FNUZWeightPerChannelFloatMSE(Fp8e4m3Mixin, FpFNUZWeightPerChannelFloatMSE):
    """8 bit float E4M3 FNUZ, per channel; scale learned from the least squared error on."""


class Fp8e4m3FNUZActPerTensorFloatMSE(Fp8e4m3Mixin, FpFNUZActPerTensorFloatMSE):
    """8 bit float E4M3 FNUZ, per tensor; scale learned from the least squared error on."""


class Fp8e5m2FNUZWeight(Fp8e5m2Mixin, FpFNUZWeight):
    """8 bit float E5M2 FNUZ, unscaled: up to 57344."""


class Fp8e5m2FNUZAct(Fp8e5m2Mixin, FpFNUZAct):
    """8 bit float E5M2 FNUZ, unscaled: up to 57344."""


class Fp8e5m2FNUZWeightPerTensorFloat(Fp8e5m2Mixin, FpFNUZWeightPerTensorFloat):
    """8 bit float E5M2 FNUZ, per tensor; scale ``max|w| / 57344``, recomputed."""


class Fp8e5m2FNUZWeightPerChannelFloat(Fp8e5m2Mixin, FpFNUZWeightPerChannelFloat):
    """8 bit float E5M2 FNUZ, per output channel; scale ``max|w| / 57344``, recomputed."""


class Fp8e5m2FNUZActPerTensorFloat(Fp8e5m2Mixin, FpFNUZActPerTensorFloat):
    """8 bit float E5M2 FNUZ, per tensor; scale learned from ``max|x| / 57344`` on."""


class Fp8e5m2FNUZWeightPerTensorFloatMSE(Fp8e5m2Mixin, FpFNUZWeightPerTensorFloatMSE):
    """8 bit float E5M2 FNUZ, per tensor; scale learned from the least squared error on."""


class Fp8e5m2FNUZWeightPerChannelFloatMSE(Fp8e5m2Mixin, FpFNUZWeightPerChannelFloatMSE):
    """8 bit float E5M2 FNUZ, per channel; scale learned from the least squared error on."""


class Fp8e5m2FNUZActPerTensorFloatMSE(Fp8e5m2Mixin, FpFNUZActPerTensorFloatMSE):
    """8 bit float E5M2 FNUZ, per tensor; scale learned from the least squared error on."""


FLOATS_FNUZ: dict[str, type[ExtendedInjector]] = {
    quantizer.__name__: quantizer
    for quantizer in (
        Fp8e4m3FNUZWeight,
        Fp8e4m3FNUZAct,
        Fp8e4m3FNUZWeightPerTensorFloat,
        Fp8e4m3FNUZWeightPerChannelFloat,
        Fp8e4m3FNUZActPerTensorFloat,
        Fp8e4m3FNUZWeightPerTensorFloatMSE,
        Fp8e4m3FNUZWeightPerChannelFloatMSE,
        Fp8e4m3FNUZActPerTensorFloatMSE,
        Fp8e5m2FNUZWeight,
        Fp8e5m2FNUZAct,
        Fp8e5m2FNUZWeightPerTensorFloat,
        Fp8e5m2FNUZWeightPerChannelFloat,
        Fp8e5m2FNUZActPerTensorFloat,
        Fp8e5m2FNUZWeightPerTensorFloatMSE,
        Fp8e5m2FNUZWeightPerChannelFloatMSE,
        Fp8e5m2FNUZActPerTensorFloatMSE,
    )
}
