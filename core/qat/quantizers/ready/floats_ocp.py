"""Ready-made minifloat quantizers of the variant OCP, which has NaN and, for E5M2, infinity.

The first ones are of any width: ``exponent_bit_width`` and ``mantissa_bit_width`` are to be given.
"""

from qat.inject import ExtendedInjector
from qat.quantizers.resolve.float_presets import (
    FloatActBase,
    FloatWeightBase,
    Fp8e4m3Mixin,
    Fp8e5m2Mixin,
    FpOCPMixin,
    PerChannel2d,
    ScaledFloatActBase,
    ScaledFloatActMSEBase,
    ScaledFloatWeightBase,
    ScaledFloatWeightMSEBase,
)
from qat.quantizers.resolve.presets import PerChannel


class FpOCPWeight(FpOCPMixin, FloatWeightBase):
    """Float, OCP, unscaled."""


class FpOCPAct(FpOCPMixin, FloatActBase):
    """Float, OCP, unscaled."""


class FpOCPWeightPerTensorFloat(FpOCPMixin, ScaledFloatWeightBase):
    """Float, OCP, per tensor; scale ``max|w|`` over the largest number, recomputed."""


class FpOCPWeightPerChannelFloat(PerChannel, FpOCPMixin, ScaledFloatWeightBase):
    """Float, OCP, per output channel; scale ``max|w|`` over the largest number, recomputed."""


class FpOCPActPerTensorFloat(FpOCPMixin, ScaledFloatActBase):
    """Float, OCP, per tensor; scale learned from ``max|x|`` on."""


class FpOCPActPerChannelFloat2d(PerChannel2d, FpOCPMixin, ScaledFloatActBase):
    """Float, OCP, per channel of [N, C, H, W]; learned from ``max|x|`` on."""


class FpOCPWeightPerTensorFloatMSE(FpOCPMixin, ScaledFloatWeightMSEBase):
    """Float, OCP, per tensor; scale learned from the least squared error on."""


class FpOCPWeightPerChannelFloatMSE(PerChannel, FpOCPMixin, ScaledFloatWeightMSEBase):
    """Float, OCP, per channel; scale learned from the least squared error on."""


class FpOCPActPerTensorFloatMSE(FpOCPMixin, ScaledFloatActMSEBase):
    """Float, OCP, per tensor; scale learned from the least squared error on."""


class FpOCPActPerChannelFloat2dMSE(PerChannel2d, FpOCPMixin, ScaledFloatActMSEBase):
    """Float, OCP, per channel; scale learned from the least squared error on."""


class Fp8e4m3OCPWeight(Fp8e4m3Mixin, FpOCPWeight):
    """8 bit float E4M3 OCP, unscaled: up to 448."""


class Fp8e4m3OCPAct(Fp8e4m3Mixin, FpOCPAct):
    """8 bit float E4M3 OCP, unscaled: up to 448."""


class Fp8e4m3OCPWeightPerTensorFloat(Fp8e4m3Mixin, FpOCPWeightPerTensorFloat):
    """8 bit float E4M3 OCP, per tensor; scale ``max|w| / 448``, recomputed."""


class Fp8e4m3OCPWeightPerChannelFloat(Fp8e4m3Mixin, FpOCPWeightPerChannelFloat):
    """8 bit float E4M3 OCP, per output channel; scale ``max|w| / 448``, recomputed."""


class Fp8e4m3OCPActPerTensorFloat(Fp8e4m3Mixin, FpOCPActPerTensorFloat):
    """8 bit float E4M3 OCP, per tensor; scale learned from ``max|x| / 448`` on."""


class Fp8e4m3OCPWeightPerTensorFloatMSE(Fp8e4m3Mixin, FpOCPWeightPerTensorFloatMSE):
    """8 bit float E4M3 OCP, per tensor; scale learned from the least squared error on."""


class Fp8e4m3OCPWeightPerChannelFloatMSE(Fp8e4m3Mixin, FpOCPWeightPerChannelFloatMSE):
    """8 bit float E4M3 OCP, per channel; scale learned from the least squared error on."""


class Fp8e4m3OCPActPerTensorFloatMSE(Fp8e4m3Mixin, FpOCPActPerTensorFloatMSE):
    """8 bit float E4M3 OCP, per tensor; scale learned from the least squared error on."""


class Fp8e5m2OCPWeight(Fp8e5m2Mixin, FpOCPWeight):
    """8 bit float E5M2 OCP, unscaled: up to 57344."""


class Fp8e5m2OCPAct(Fp8e5m2Mixin, FpOCPAct):
    """8 bit float E5M2 OCP, unscaled: up to 57344."""


class Fp8e5m2OCPWeightPerTensorFloat(Fp8e5m2Mixin, FpOCPWeightPerTensorFloat):
    """8 bit float E5M2 OCP, per tensor; scale ``max|w| / 57344``, recomputed."""


class Fp8e5m2OCPWeightPerChannelFloat(Fp8e5m2Mixin, FpOCPWeightPerChannelFloat):
    """8 bit float E5M2 OCP, per output channel; scale ``max|w| / 57344``, recomputed."""


class Fp8e5m2OCPActPerTensorFloat(Fp8e5m2Mixin, FpOCPActPerTensorFloat):
    """8 bit float E5M2 OCP, per tensor; scale learned from ``max|x| / 57344`` on."""


class Fp8e5m2OCPWeightPerTensorFloatMSE(Fp8e5m2Mixin, FpOCPWeightPerTensorFloatMSE):
    """8 bit float E5M2 OCP, per tensor; scale learned from the least squared error on."""


class Fp8e5m2OCPWeightPerChannelFloatMSE(Fp8e5m2Mixin, FpOCPWeightPerChannelFloatMSE):
    """8 bit float E5M2 OCP, per channel; scale learned from the least squared error on."""


class Fp8e5m2OCPActPerTensorFloatMSE(Fp8e5m2Mixin, FpOCPActPerTensorFloatMSE):
    """8 bit float E5M2 OCP, per tensor; scale learned from the least squared error on."""


FLOATS_OCP: dict[str, type[ExtendedInjector]] = {
    quantizer.__name__: quantizer
    for quantizer in (
        Fp8e4m3OCPWeight,
        Fp8e4m3OCPAct,
        Fp8e4m3OCPWeightPerTensorFloat,
        Fp8e4m3OCPWeightPerChannelFloat,
        Fp8e4m3OCPActPerTensorFloat,
        Fp8e4m3OCPWeightPerTensorFloatMSE,
        Fp8e4m3OCPWeightPerChannelFloatMSE,
        Fp8e4m3OCPActPerTensorFloatMSE,
        Fp8e5m2OCPWeight,
        Fp8e5m2OCPAct,
        Fp8e5m2OCPWeightPerTensorFloat,
        Fp8e5m2OCPWeightPerChannelFloat,
        Fp8e5m2OCPActPerTensorFloat,
        Fp8e5m2OCPWeightPerTensorFloatMSE,
        Fp8e5m2OCPWeightPerChannelFloatMSE,
        Fp8e5m2OCPActPerTensorFloatMSE,
    )
}
