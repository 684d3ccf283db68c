"""Documented path of the attribute groups for minifloats of one's own."""

from qat.quantizers.ready.minifloat import Fp4e2m1Mixin as Fp4e2m1Mixin
from qat.quantizers.ready.minifloat import Fp6e2m3Mixin as Fp6e2m3Mixin
from qat.quantizers.ready.minifloat import Fp6e3m2Mixin as Fp6e3m2Mixin
from qat.quantizers.ready.minifloat import Fp8e4m3Mixin as Fp8e4m3Mixin
from qat.quantizers.ready.minifloat import Fp8e5m2Mixin as Fp8e5m2Mixin
from qat.quantizers.resolve.float_presets import FloatActBase as FloatActBase
from qat.quantizers.resolve.float_presets import FloatBase as FloatBase
from qat.quantizers.resolve.float_presets import FloatWeightBase as FloatWeightBase
from qat.quantizers.resolve.float_presets import FpFNUZMixin as FpFNUZMixin
from qat.quantizers.resolve.float_presets import FpOCPMixin as FpOCPMixin
from qat.quantizers.resolve.float_presets import LearnedFromMaximum as LearnedFromMaximum
from qat.quantizers.resolve.float_presets import PerChannel2d as PerChannel2d
from qat.quantizers.resolve.float_presets import ScaledFloatActBase as ScaledFloatActBase
from qat.quantizers.resolve.float_presets import ScaledFloatActMSEBase as ScaledFloatActMSEBase
from qat.quantizers.resolve.float_presets import ScaledFloatWeightBase as ScaledFloatWeightBase
from qat.quantizers.resolve.float_presets import (
    ScaledFloatWeightMSEBase as ScaledFloatWeightMSEBase,
)
from qat.quantizers.resolve.float_presets import Unscaled as Unscaled
