"""Ready-made minifloat quantizers whose every code is a number: FP8, FP6 and FP4."""

from qat.inject import ExtendedInjector
from qat.quantizers.resolve.float_presets import (
    FloatActBase,
    FloatWeightBase,
    Fp4e2m1Mixin,
    Fp6e2m3Mixin,
    Fp6e3m2Mixin,
    Fp8e4m3Mixin,
    Fp8e5m2Mixin,
    PerChannel2d,
    ScaledFloatActBase,
    ScaledFloatActMSEBase,
    ScaledFloatWeightBase,
    ScaledFloatWeightMSEBase,
)
from qat.quantizers.resolve.presets import PerChannel


class Fp8e4m3Weight(Fp8e4m3Mixin, FloatWeightBase):
    """8 bit float E4M3, unscaled: up to 480."""


class Fp8e4m3Act(Fp8e4m3Mixin, FloatActBase):
    """8 bit float E4M3, unscaled: up to 480."""


class Fp8e4m3WeightPerTensorFloat(Fp8e4m3Mixin, ScaledFloatWeightBase):
    """8 bit float E4M3, per tensor; scale ``max|w| / 480``, recomputed."""


class Fp8e4m3WeightPerChannelFloat(PerChannel, Fp8e4m3Mixin, ScaledFloatWeightBase):
    """8 bit float E4M3, per output channel; scale ``max|w| / 480``, recomputed."""


class Fp8e4m3ActPerTensorFloat(Fp8e4m3Mixin, ScaledFloatActBase):
    """8 bit float E4M3, per tensor; scale learned from ``max|x| / 480`` on."""


class Fp8e4m3ActPerChannelFloat2d(PerChannel2d, Fp8e4m3Mixin, ScaledFloatActBase):
    """8 bit float E4M3, per channel of [N, C, H, W]; scale learned from ``max|x| / 480`` on."""


class Fp8e4m3WeightPerTensorFloatMSE(Fp8e4m3Mixin, ScaledFloatWeightMSEBase):
    """8 bit float E4M3, per tensor; scale learned from the least squared error on."""


class Fp8e4m3WeightPerChannelFloatMSE(PerChannel, Fp8e4m3Mixin, ScaledFloatWeightMSEBase):
    """8 bit float E4M3, per channel; scale learned from the least squared error on."""


class Fp8e4m3ActPerTensorFloatMSE(Fp8e4m3Mixin, ScaledFloatActMSEBase):
    """8 bit float E4M3, per tensor; scale learned from the least squared error on."""


class Fp8e4m3ActPerChannelFloat2dMSE(PerChannel2d, Fp8e4m3Mixin, ScaledFloatActMSEBase):
    """8 bit float E4M3, per channel; scale learned from the least squared error on."""


class Fp8e5m2Weight(Fp8e5m2Mixin, FloatWeightBase):
    """8 bit float E5M2, unscaled: up to 114688."""


class Fp8e5m2Act(Fp8e5m2Mixin, FloatActBase):
    """8 bit float E5M2, unscaled: up to 114688."""


class Fp8e5m2WeightPerTensorFloat(Fp8e5m2Mixin, ScaledFloatWeightBase):
    """8 bit float E5M2, per tensor; scale ``max|w| / 114688``, recomputed."""


class Fp8e5m2WeightPerChannelFloat(PerChannel, Fp8e5m2Mixin, ScaledFloatWeightBase):
    """8 bit float E5M2, per output channel; scale ``max|w| / 114688``, recomputed."""


class Fp8e5m2ActPerTensorFloat(Fp8e5m2Mixin, ScaledFloatActBase):
    """8 bit float E5M2, per tensor; scale learned from ``max|x| / 114688`` on."""


class Fp8e5m2ActPerChannelFloat2d(PerChannel2d, Fp8e5m2Mixin, ScaledFloatActBase):
    """8 bit float E5M2, per channel of [N, C, H, W]; scale learned from ``max|x| / 114688`` on."""


class Fp8e5m2WeightPerTensorFloatMSE(Fp8e5m2Mixin, ScaledFloatWeightMSEBase):
    """8 bit float E5M2, per tensor; scale learned from the least squared error on."""


class Fp8e5m2WeightPerChannelFloatMSE(PerChannel, Fp8e5m2Mixin, ScaledFloatWeightMSEBase):
    """8 bit float E5M2, per channel; scale learned from the least squared error on."""


class Fp8e5m2ActPerTensorFloatMSE(Fp8e5m2Mixin, ScaledFloatActMSEBase):
    """8 bit float E5M2, per tensor; scale learned from the least squared error on."""


class Fp8e5m2ActPerChannelFloat2dMSE(PerChannel2d, Fp8e5m2Mixin, ScaledFloatActMSEBase):
    """8 bit float E5M2, per channel; scale learned from the least squared error on."""


class Fp6e3m2WeightPerTensorFloat(Fp6e3m2Mixin, ScaledFloatWeightBase):
    """6 bit float E3M2, per tensor; scale ``max|w| / 28``, recomputed."""


class Fp6e3m2WeightPerChannelFloat(PerChannel, Fp6e3m2Mixin, ScaledFloatWeightBase):
    """6 bit float E3M2, per output channel; scale ``max|w| / 28``, recomputed."""


class Fp6e3m2ActPerTensorFloat(Fp6e3m2Mixin, ScaledFloatActBase):
    """6 bit float E3M2, per tensor; scale learned from ``max|x| / 28`` on."""


class Fp6e2m3WeightPerTensorFloat(Fp6e2m3Mixin, ScaledFloatWeightBase):
    """6 bit float E2M3, per tensor; scale ``max|w| / 7.5``, recomputed."""


class Fp6e2m3WeightPerChannelFloat(PerChannel, Fp6e2m3Mixin, ScaledFloatWeightBase):
    """6 bit float E2M3, per output channel; scale ``max|w| / 7.5``, recomputed."""


class Fp6e2m3ActPerTensorFloat(Fp6e2m3Mixin, ScaledFloatActBase):
    """6 bit float E2M3, per tensor; scale learned from ``max|x| / 7.5`` on."""


class Fp4e2m1WeightPerTensorFloat(Fp4e2m1Mixin, ScaledFloatWeightBase):
    """4 bit float E2M1, per tensor; scale ``max|w| / 6``, recomputed."""


class Fp4e2m1WeightPerChannelFloat(PerChannel, Fp4e2m1Mixin, ScaledFloatWeightBase):
    """4 bit float E2M1, per output channel; scale ``max|w| / 6``, recomputed."""


class Fp4e2m1ActPerTensorFloat(Fp4e2m1Mixin, ScaledFloatActBase):
    """4 bit float E2M1, per tensor; scale learned from ``max|x| / 6`` on."""


FLOATS: dict[str, type[ExtendedInjector]] = {
    quantizer.__name__: quantizer
    for quantizer in (
        Fp8e4m3Weight,
        Fp8e4m3Act,
        Fp8e4m3WeightPerTensorFloat,
        Fp8e4m3WeightPerChannelFloat,
        Fp8e4m3ActPerTensorFloat,
        Fp8e4m3ActPerChannelFloat2d,
        Fp8e4m3WeightPerTensorFloatMSE,
        Fp8e4m3WeightPerChannelFloatMSE,
        Fp8e4m3ActPerTensorFloatMSE,
        Fp8e4m3ActPerChannelFloat2dMSE,
        Fp8e5m2Weight,
        Fp8e5m2Act,
        Fp8e5m2WeightPerTensorFloat,
        Fp8e5m2WeightPerChannelFloat,
        Fp8e5m2ActPerTensorFloat,
        Fp8e5m2ActPerChannelFloat2d,
        Fp8e5m2WeightPerTensorFloatMSE,
        Fp8e5m2WeightPerChannelFloatMSE,
        Fp8e5m2ActPerTensorFloatMSE,
        Fp8e5m2ActPerChannelFloat2dMSE,
        Fp6e3m2WeightPerTensorFloat,
        Fp6e3m2WeightPerChannelFloat,
        Fp6e3m2ActPerTensorFloat,
        Fp6e2m3WeightPerTensorFloat,
        Fp6e2m3WeightPerChannelFloat,
        Fp6e2m3ActPerTensorFloat,
        Fp4e2m1WeightPerTensorFloat,
        Fp4e2m1WeightPerChannelFloat,
        Fp4e2m1ActPerTensorFloat,
    )
}
