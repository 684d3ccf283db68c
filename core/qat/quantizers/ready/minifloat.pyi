"""Names of the classes that rows of minifloat_table.py make; written by `make docs`."""

from qat.inject import ExtendedInjector
from qat.quantizers.ready.mx import MXFloatAct, MXFloatWeight, MXMSEMixin
from qat.quantizers.resolve.float_presets import (
    FloatActBase,
    FloatWeightBase,
    FpFNUZMixin,
    FpOCPMixin,
    PerChannel2d,
    ScaledFloatActBase,
    ScaledFloatActMSEBase,
    ScaledFloatWeightBase,
    ScaledFloatWeightMSEBase,
)
from qat.quantizers.resolve.presets import PerChannel

class Fp8e4m3Mixin(ExtendedInjector):
    """E4M3: 8 bit, 4 of them for the exponent."""

class Fp8e5m2Mixin(ExtendedInjector):
    """E5M2: 8 bit, 5 of them for the exponent."""

class Fp6e3m2Mixin(ExtendedInjector):
    """E3M2: 6 bit, 3 of them for the exponent."""

class Fp6e2m3Mixin(ExtendedInjector):
    """E2M3: 6 bit, 2 of them for the exponent."""

class Fp4e2m1Mixin(ExtendedInjector):
    """E2M1: 4 bit, 2 of them for the exponent."""

class Fp8e4m3Weight(Fp8e4m3Mixin, FloatWeightBase):
    """8 bit float E4M3, unscaled: up to 480."""

class Fp8e4m3Act(Fp8e4m3Mixin, FloatActBase):
    """8 bit float E4M3, unscaled: up to 480."""

class Fp8e4m3WeightPerTensorFloat(Fp8e4m3Mixin, ScaledFloatWeightBase):
    """8 bit float E4M3, per tensor; scale ``max|w| / 480``, recomputed."""

class Fp8e4m3WeightPerChannelFloat(Fp8e4m3Mixin, PerChannel, ScaledFloatWeightBase):
    """8 bit float E4M3, per output channel; scale ``max|w| / 480``, recomputed."""

class Fp8e4m3ActPerTensorFloat(Fp8e4m3Mixin, ScaledFloatActBase):
    """8 bit float E4M3, per tensor; scale learned from ``max|x| / 480`` on."""

class Fp8e4m3ActPerChannelFloat2d(Fp8e4m3Mixin, PerChannel2d, ScaledFloatActBase):
    """8 bit float E4M3, per channel of [N, C, H, W]; scale learned from ``max|x| / 480`` on."""

class Fp8e4m3WeightPerTensorFloatMSE(Fp8e4m3Mixin, ScaledFloatWeightMSEBase):
    """8 bit float E4M3, per tensor; scale learned from the least squared error on."""

class Fp8e4m3WeightPerChannelFloatMSE(Fp8e4m3Mixin, PerChannel, ScaledFloatWeightMSEBase):
    """8 bit float E4M3, per channel; scale learned from the least squared error on."""

class Fp8e4m3ActPerTensorFloatMSE(Fp8e4m3Mixin, ScaledFloatActMSEBase):
    """8 bit float E4M3, per tensor; scale learned from the least squared error on."""

class Fp8e4m3ActPerChannelFloat2dMSE(Fp8e4m3Mixin, PerChannel2d, ScaledFloatActMSEBase):
    """8 bit float E4M3, per channel; scale learned from the least squared error on."""

class Fp8e5m2Weight(Fp8e5m2Mixin, FloatWeightBase):
    """8 bit float E5M2, unscaled: up to 114688."""

class Fp8e5m2Act(Fp8e5m2Mixin, FloatActBase):
    """8 bit float E5M2, unscaled: up to 114688."""

class Fp8e5m2WeightPerTensorFloat(Fp8e5m2Mixin, ScaledFloatWeightBase):
    """8 bit float E5M2, per tensor; scale ``max|w| / 114688``, recomputed."""

class Fp8e5m2WeightPerChannelFloat(Fp8e5m2Mixin, PerChannel, ScaledFloatWeightBase):
    """8 bit float E5M2, per output channel; scale ``max|w| / 114688``, recomputed."""

class Fp8e5m2ActPerTensorFloat(Fp8e5m2Mixin, ScaledFloatActBase):
    """8 bit float E5M2, per tensor; scale learned from ``max|x| / 114688`` on."""

class Fp8e5m2ActPerChannelFloat2d(Fp8e5m2Mixin, PerChannel2d, ScaledFloatActBase):
    """8 bit float E5M2, per channel of [N, C, H, W]; scale learned from ``max|x| / 114688`` on."""

class Fp8e5m2WeightPerTensorFloatMSE(Fp8e5m2Mixin, ScaledFloatWeightMSEBase):
    """8 bit float E5M2, per tensor; scale learned from the least squared error on."""

class Fp8e5m2WeightPerChannelFloatMSE(Fp8e5m2Mixin, PerChannel, ScaledFloatWeightMSEBase):
    """8 bit float E5M2, per channel; scale learned from the least squared error on."""

class Fp8e5m2ActPerTensorFloatMSE(Fp8e5m2Mixin, ScaledFloatActMSEBase):
    """8 bit float E5M2, per tensor; scale learned from the least squared error on."""

class Fp8e5m2ActPerChannelFloat2dMSE(Fp8e5m2Mixin, PerChannel2d, ScaledFloatActMSEBase):
    """8 bit float E5M2, per channel; scale learned from the least squared error on."""

class Fp6e3m2WeightPerTensorFloat(Fp6e3m2Mixin, ScaledFloatWeightBase):
    """6 bit float E3M2, per tensor; scale ``max|w| / 28``, recomputed."""

class Fp6e3m2WeightPerChannelFloat(Fp6e3m2Mixin, PerChannel, ScaledFloatWeightBase):
    """6 bit float E3M2, per output channel; scale ``max|w| / 28``, recomputed."""

class Fp6e3m2ActPerTensorFloat(Fp6e3m2Mixin, ScaledFloatActBase):
    """6 bit float E3M2, per tensor; scale learned from ``max|x| / 28`` on."""

class Fp6e2m3WeightPerTensorFloat(Fp6e2m3Mixin, ScaledFloatWeightBase):
    """6 bit float E2M3, per tensor; scale ``max|w| / 7.5``, recomputed."""

class Fp6e2m3WeightPerChannelFloat(Fp6e2m3Mixin, PerChannel, ScaledFloatWeightBase):
    """6 bit float E2M3, per output channel; scale ``max|w| / 7.5``, recomputed."""

class Fp6e2m3ActPerTensorFloat(Fp6e2m3Mixin, ScaledFloatActBase):
    """6 bit float E2M3, per tensor; scale learned from ``max|x| / 7.5`` on."""

class Fp4e2m1WeightPerTensorFloat(Fp4e2m1Mixin, ScaledFloatWeightBase):
    """4 bit float E2M1, per tensor; scale ``max|w| / 6``, recomputed."""

class Fp4e2m1WeightPerChannelFloat(Fp4e2m1Mixin, PerChannel, ScaledFloatWeightBase):
    """4 bit float E2M1, per output channel; scale ``max|w| / 6``, recomputed."""

class Fp4e2m1ActPerTensorFloat(Fp4e2m1Mixin, ScaledFloatActBase):
    """4 bit float E2M1, per tensor; scale learned from ``max|x| / 6`` on."""

class FpOCPWeight(FpOCPMixin, FloatWeightBase):
    """Float, OCP, unscaled: up to max_value."""

class FpOCPAct(FpOCPMixin, FloatActBase):
    """Float, OCP, unscaled: up to max_value."""

class FpOCPWeightPerTensorFloat(FpOCPMixin, ScaledFloatWeightBase):
    """Float, OCP, per tensor; scale ``max|w| / max_value``, recomputed."""

class FpOCPWeightPerChannelFloat(FpOCPMixin, PerChannel, ScaledFloatWeightBase):
    """Float, OCP, per output channel; scale ``max|w| / max_value``, recomputed."""

class FpOCPActPerTensorFloat(FpOCPMixin, ScaledFloatActBase):
    """Float, OCP, per tensor; scale learned from ``max|x| / max_value`` on."""

class FpOCPActPerChannelFloat2d(FpOCPMixin, PerChannel2d, ScaledFloatActBase):
    """Float, OCP, per channel of [N, C, H, W]; scale learned from ``max|x| / max_value`` on."""

class FpOCPWeightPerTensorFloatMSE(FpOCPMixin, ScaledFloatWeightMSEBase):
    """Float, OCP, per tensor; scale learned from the least squared error on."""

class FpOCPWeightPerChannelFloatMSE(FpOCPMixin, PerChannel, ScaledFloatWeightMSEBase):
    """Float, OCP, per channel; scale learned from the least squared error on."""

class FpOCPActPerTensorFloatMSE(FpOCPMixin, ScaledFloatActMSEBase):
    """Float, OCP, per tensor; scale learned from the least squared error on."""

class FpOCPActPerChannelFloat2dMSE(FpOCPMixin, PerChannel2d, ScaledFloatActMSEBase):
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

class FpFNUZWeight(FpFNUZMixin, FloatWeightBase):
    """Float, FNUZ, unscaled: up to max_value."""

class FpFNUZAct(FpFNUZMixin, FloatActBase):
    """Float, FNUZ, unscaled: up to max_value."""

class FpFNUZWeightPerTensorFloat(FpFNUZMixin, ScaledFloatWeightBase):
    """Float, FNUZ, per tensor; scale ``max|w| / max_value``, recomputed."""

class FpFNUZWeightPerChannelFloat(FpFNUZMixin, PerChannel, ScaledFloatWeightBase):
    """Float, FNUZ, per output channel; scale ``max|w| / max_value``, recomputed."""

class FpFNUZActPerTensorFloat(FpFNUZMixin, ScaledFloatActBase):
    """Float, FNUZ, per tensor; scale learned from ``max|x| / max_value`` on."""

class FpFNUZActPerChannelFloat2d(FpFNUZMixin, PerChannel2d, ScaledFloatActBase):
    """Float, FNUZ, per channel of [N, C, H, W]; scale learned from ``max|x| / max_value`` on."""

class FpFNUZWeightPerTensorFloatMSE(FpFNUZMixin, ScaledFloatWeightMSEBase):
    """Float, FNUZ, per tensor; scale learned from the least squared error on."""

class FpFNUZWeightPerChannelFloatMSE(FpFNUZMixin, PerChannel, ScaledFloatWeightMSEBase):
    """Float, FNUZ, per channel; scale learned from the least squared error on."""

class FpFNUZActPerTensorFloatMSE(FpFNUZMixin, ScaledFloatActMSEBase):
    """Float, FNUZ, per tensor; scale learned from the least squared error on."""

class FpFNUZActPerChannelFloat2dMSE(FpFNUZMixin, PerChannel2d, ScaledFloatActMSEBase):
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

class MXFloat8e4m3Weight(Fp8e4m3Mixin, MXFloatWeight):
    """8 bit float E4M3, per block of 32; scale ``2**floor(log2 max|w|) / 256``, recomputed."""

class MXFloat8e4m3Act(Fp8e4m3Mixin, MXFloatAct):
    """8 bit float E4M3, per block of 32; scale ``2**floor(log2 max|x|) / 256`` of the block."""

class MXFloat8e4m3WeightMSE(Fp8e4m3Mixin, MXMSEMixin, MXFloatWeight):
    """8 bit float E4M3, per block of 32; scale a power of two, learned from the least error on."""

class MXFloat8e5m2Weight(Fp8e5m2Mixin, MXFloatWeight):
    """8 bit float E5M2, per block of 32; scale ``2**floor(log2 max|w|) / 32768``, recomputed."""

class MXFloat8e5m2Act(Fp8e5m2Mixin, MXFloatAct):
    """8 bit float E5M2, per block of 32; scale ``2**floor(log2 max|x|) / 32768`` of the block."""

class MXFloat6e3m2Weight(Fp6e3m2Mixin, MXFloatWeight):
    """6 bit float E3M2, per block of 32; scale ``2**floor(log2 max|w|) / 16``, recomputed."""

class MXFloat6e3m2Act(Fp6e3m2Mixin, MXFloatAct):
    """6 bit float E3M2, per block of 32; scale ``2**floor(log2 max|x|) / 16`` of the block."""

class MXFloat6e2m3Weight(Fp6e2m3Mixin, MXFloatWeight):
    """6 bit float E2M3, per block of 32; scale ``2**floor(log2 max|w|) / 4``, recomputed."""

class MXFloat6e2m3Act(Fp6e2m3Mixin, MXFloatAct):
    """6 bit float E2M3, per block of 32; scale ``2**floor(log2 max|x|) / 4`` of the block."""

class MXFloat4e2m1Weight(Fp4e2m1Mixin, MXFloatWeight):
    """4 bit float E2M1, per block of 32; scale ``2**floor(log2 max|w|) / 4``, recomputed."""

class MXFloat4e2m1Act(Fp4e2m1Mixin, MXFloatAct):
    """4 bit float E2M1, per block of 32; scale ``2**floor(log2 max|x|) / 4`` of the block."""
