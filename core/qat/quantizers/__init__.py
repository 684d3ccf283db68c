"""Ready-made quantizers, by the names of the public library Brevitas."""

from qat.quantizers.ready.accumulators import ClampTo8bit as ClampTo8bit
from qat.quantizers.ready.accumulators import RoundTo8bit as RoundTo8bit
from qat.quantizers.ready.accumulators import ShiftRoundSaturateTo8bit as ShiftRoundSaturateTo8bit
from qat.quantizers.ready.accumulators import TruncTo8bit as TruncTo8bit
from qat.quantizers.ready.activation import Int8ActPerTensorFloat as Int8ActPerTensorFloat
from qat.quantizers.ready.activation import (
    Int8ActPerTensorFloatMinMaxInit as Int8ActPerTensorFloatMinMaxInit,
)
from qat.quantizers.ready.activation import Int8ActPerTensorFloatMSE as Int8ActPerTensorFloatMSE
from qat.quantizers.ready.activation import (
    SignedBinaryActPerTensorConst as SignedBinaryActPerTensorConst,
)
from qat.quantizers.ready.activation import (
    SignedTernaryActPerTensorConst as SignedTernaryActPerTensorConst,
)
from qat.quantizers.ready.activation import Uint8ActPerTensorFloat as Uint8ActPerTensorFloat
from qat.quantizers.ready.activation import (
    Uint8ActPerTensorFloatMaxInit as Uint8ActPerTensorFloatMaxInit,
)
from qat.quantizers.ready.activation import Uint8ActPerTensorFloatMSE as Uint8ActPerTensorFloatMSE
from qat.quantizers.ready.batch import (
    Int8ActPerTensorFloatBatchQuant1d as Int8ActPerTensorFloatBatchQuant1d,
)
from qat.quantizers.ready.batch import (
    Int8ActPerTensorFloatBatchQuant2d as Int8ActPerTensorFloatBatchQuant2d,
)
from qat.quantizers.ready.batch import (
    Uint8ActPerTensorFloatBatchQuant1d as Uint8ActPerTensorFloatBatchQuant1d,
)
from qat.quantizers.ready.batch import (
    Uint8ActPerTensorFloatBatchQuant2d as Uint8ActPerTensorFloatBatchQuant2d,
)
from qat.quantizers.ready.bias import Int8Bias as Int8Bias
from qat.quantizers.ready.bias import (
    Int8BiasPerTensorFloatInternalScaling as Int8BiasPerTensorFloatInternalScaling,
)
from qat.quantizers.ready.bias import Int16Bias as Int16Bias
from qat.quantizers.ready.bias import Int24Bias as Int24Bias
from qat.quantizers.ready.bias import Int32Bias as Int32Bias
from qat.quantizers.ready.bias import IntBias as IntBias
from qat.quantizers.ready.binary_papers import BiRealAct as BiRealAct
from qat.quantizers.ready.binary_papers import BiRealWeight as BiRealWeight
from qat.quantizers.ready.binary_papers import IRNetAct as IRNetAct
from qat.quantizers.ready.binary_papers import IRNetWeight as IRNetWeight
from qat.quantizers.ready.binary_papers import TTQWeight as TTQWeight
from qat.quantizers.ready.binary_papers import TWNWeight as TWNWeight
from qat.quantizers.ready.binary_papers import XNORWeight as XNORWeight
from qat.quantizers.ready.binary_ternary import (
    SignedBinaryActPerTensorParam as SignedBinaryActPerTensorParam,
)
from qat.quantizers.ready.binary_ternary import (
    SignedBinaryActPerTensorStats as SignedBinaryActPerTensorStats,
)
from qat.quantizers.ready.binary_ternary import (
    SignedBinaryWeightPerChannelParam as SignedBinaryWeightPerChannelParam,
)
from qat.quantizers.ready.binary_ternary import (
    SignedBinaryWeightPerChannelStats as SignedBinaryWeightPerChannelStats,
)
from qat.quantizers.ready.binary_ternary import (
    SignedBinaryWeightPerTensorParam as SignedBinaryWeightPerTensorParam,
)
from qat.quantizers.ready.binary_ternary import (
    SignedBinaryWeightPerTensorStats as SignedBinaryWeightPerTensorStats,
)
from qat.quantizers.ready.binary_ternary import (
    SignedTernaryActPerTensorParam as SignedTernaryActPerTensorParam,
)
from qat.quantizers.ready.binary_ternary import (
    SignedTernaryActPerTensorStats as SignedTernaryActPerTensorStats,
)
from qat.quantizers.ready.binary_ternary import (
    SignedTernaryWeightPerChannelParam as SignedTernaryWeightPerChannelParam,
)
from qat.quantizers.ready.binary_ternary import (
    SignedTernaryWeightPerChannelStats as SignedTernaryWeightPerChannelStats,
)
from qat.quantizers.ready.binary_ternary import (
    SignedTernaryWeightPerTensorParam as SignedTernaryWeightPerTensorParam,
)
from qat.quantizers.ready.binary_ternary import (
    SignedTernaryWeightPerTensorStats as SignedTernaryWeightPerTensorStats,
)
from qat.quantizers.ready.decoupled import (
    Int4WeightPerTensorFixedPointDecoupled as Int4WeightPerTensorFixedPointDecoupled,
)
from qat.quantizers.ready.decoupled import (
    Int4WeightPerTensorFloatDecoupled as Int4WeightPerTensorFloatDecoupled,
)
from qat.quantizers.ready.decoupled import (
    Int8AccumulatorAwareWeightQuant as Int8AccumulatorAwareWeightQuant,
)
from qat.quantizers.ready.decoupled import (
    Int8AccumulatorAwareZeroCenterWeightQuant as Int8AccumulatorAwareZeroCenterWeightQuant,
)
from qat.quantizers.ready.decoupled import (
    Int8WeightNormL2PerChannelFixedPoint as Int8WeightNormL2PerChannelFixedPoint,
)
from qat.quantizers.ready.decoupled import (
    Int8WeightPerChannelFloatDecoupled as Int8WeightPerChannelFloatDecoupled,
)
from qat.quantizers.ready.dynamic import Int8DynamicActPerRowFloat as Int8DynamicActPerRowFloat
from qat.quantizers.ready.dynamic import (
    Int8DynamicActPerTensorFloat as Int8DynamicActPerTensorFloat,
)
from qat.quantizers.ready.dynamic import (
    Uint8DynamicActPerTensorFloat as Uint8DynamicActPerTensorFloat,
)
from qat.quantizers.ready.fixed_point import (
    Int8ActPerTensorFixedPoint as Int8ActPerTensorFixedPoint,
)
from qat.quantizers.ready.fixed_point import (
    Int8ActPerTensorFixedPointMinMaxInit as Int8ActPerTensorFixedPointMinMaxInit,
)
from qat.quantizers.ready.fixed_point import (
    Int8ActPerTensorFixedPointMSE as Int8ActPerTensorFixedPointMSE,
)
from qat.quantizers.ready.fixed_point import (
    Int8BiasPerTensorFixedPointInternalScaling as Int8BiasPerTensorFixedPointInternalScaling,
)
from qat.quantizers.ready.fixed_point import (
    Int8WeightPerChannelFixedPoint as Int8WeightPerChannelFixedPoint,
)
from qat.quantizers.ready.fixed_point import (
    Int8WeightPerChannelFixedPointMSE as Int8WeightPerChannelFixedPointMSE,
)
from qat.quantizers.ready.fixed_point import (
    Int8WeightPerTensorFixedPoint as Int8WeightPerTensorFixedPoint,
)
from qat.quantizers.ready.fixed_point import (
    Int8WeightPerTensorFixedPointMSE as Int8WeightPerTensorFixedPointMSE,
)
from qat.quantizers.ready.fixed_point import (
    Uint8ActPerTensorFixedPoint as Uint8ActPerTensorFixedPoint,
)
from qat.quantizers.ready.fixed_point import (
    Uint8ActPerTensorFixedPointMaxInit as Uint8ActPerTensorFixedPointMaxInit,
)
from qat.quantizers.ready.fixed_point import (
    Uint8ActPerTensorFixedPointMSE as Uint8ActPerTensorFixedPointMSE,
)
from qat.quantizers.ready.floats import Fp4e2m1ActPerTensorFloat as Fp4e2m1ActPerTensorFloat
from qat.quantizers.ready.floats import Fp4e2m1WeightPerChannelFloat as Fp4e2m1WeightPerChannelFloat
from qat.quantizers.ready.floats import Fp4e2m1WeightPerTensorFloat as Fp4e2m1WeightPerTensorFloat
from qat.quantizers.ready.floats import Fp6e2m3ActPerTensorFloat as Fp6e2m3ActPerTensorFloat
from qat.quantizers.ready.floats import Fp6e2m3WeightPerChannelFloat as Fp6e2m3WeightPerChannelFloat
from qat.quantizers.ready.floats import Fp6e2m3WeightPerTensorFloat as Fp6e2m3WeightPerTensorFloat
from qat.quantizers.ready.floats import Fp6e3m2ActPerTensorFloat as Fp6e3m2ActPerTensorFloat
from qat.quantizers.ready.floats import Fp6e3m2WeightPerChannelFloat as Fp6e3m2WeightPerChannelFloat
from qat.quantizers.ready.floats import Fp6e3m2WeightPerTensorFloat as Fp6e3m2WeightPerTensorFloat
from qat.quantizers.ready.floats import Fp8e4m3Act as Fp8e4m3Act
from qat.quantizers.ready.floats import Fp8e4m3ActPerChannelFloat2d as Fp8e4m3ActPerChannelFloat2d
from qat.quantizers.ready.floats import (
    Fp8e4m3ActPerChannelFloat2dMSE as Fp8e4m3ActPerChannelFloat2dMSE,
)
from qat.quantizers.ready.floats import Fp8e4m3ActPerTensorFloat as Fp8e4m3ActPerTensorFloat
from qat.quantizers.ready.floats import Fp8e4m3ActPerTensorFloatMSE as Fp8e4m3ActPerTensorFloatMSE
from qat.quantizers.ready.floats import Fp8e4m3Weight as Fp8e4m3Weight
from qat.quantizers.ready.floats import Fp8e4m3WeightPerChannelFloat as Fp8e4m3WeightPerChannelFloat
from qat.quantizers.ready.floats import (
    Fp8e4m3WeightPerChannelFloatMSE as Fp8e4m3WeightPerChannelFloatMSE,
)
from qat.quantizers.ready.floats import Fp8e4m3WeightPerTensorFloat as Fp8e4m3WeightPerTensorFloat
from qat.quantizers.ready.floats import (
    Fp8e4m3WeightPerTensorFloatMSE as Fp8e4m3WeightPerTensorFloatMSE,
)
from qat.quantizers.ready.floats import Fp8e5m2Act as Fp8e5m2Act
from qat.quantizers.ready.floats import Fp8e5m2ActPerChannelFloat2d as Fp8e5m2ActPerChannelFloat2d
from qat.quantizers.ready.floats import (
    Fp8e5m2ActPerChannelFloat2dMSE as Fp8e5m2ActPerChannelFloat2dMSE,
)
from qat.quantizers.ready.floats import Fp8e5m2ActPerTensorFloat as Fp8e5m2ActPerTensorFloat
from qat.quantizers.ready.floats import Fp8e5m2ActPerTensorFloatMSE as Fp8e5m2ActPerTensorFloatMSE
from qat.quantizers.ready.floats import Fp8e5m2Weight as Fp8e5m2Weight
from qat.quantizers.ready.floats import Fp8e5m2WeightPerChannelFloat as Fp8e5m2WeightPerChannelFloat
from qat.quantizers.ready.floats import (
    Fp8e5m2WeightPerChannelFloatMSE as Fp8e5m2WeightPerChannelFloatMSE,
)
from qat.quantizers.ready.floats import Fp8e5m2WeightPerTensorFloat as Fp8e5m2WeightPerTensorFloat
from qat.quantizers.ready.floats import (
    Fp8e5m2WeightPerTensorFloatMSE as Fp8e5m2WeightPerTensorFloatMSE,
)
from qat.quantizers.ready.floats_fnuz import Fp8e4m3FNUZAct as Fp8e4m3FNUZAct
from qat.quantizers.ready.floats_fnuz import (
    Fp8e4m3FNUZActPerTensorFloat as Fp8e4m3FNUZActPerTensorFloat,
)
from qat.quantizers.ready.floats_fnuz import (
    Fp8e4m3FNUZActPerTensorFloatMSE as Fp8e4m3FNUZActPerTensorFloatMSE,
)
from qat.quantizers.ready.floats_fnuz import Fp8e4m3FNUZWeight as Fp8e4m3FNUZWeight
from qat.quantizers.ready.floats_fnuz import (
    Fp8e4m3FNUZWeightPerChannelFloat as Fp8e4m3FNUZWeightPerChannelFloat,
)
from qat.quantizers.ready.floats_fnuz import (
    Fp8e4m3FNUZWeightPerChannelFloatMSE as Fp8e4m3FNUZWeightPerChannelFloatMSE,
)
from qat.quantizers.ready.floats_fnuz import (
    Fp8e4m3FNUZWeightPerTensorFloat as Fp8e4m3FNUZWeightPerTensorFloat,
)
from qat.quantizers.ready.floats_fnuz import (
    Fp8e4m3FNUZWeightPerTensorFloatMSE as Fp8e4m3FNUZWeightPerTensorFloatMSE,
)
from qat.quantizers.ready.floats_fnuz import Fp8e5m2FNUZAct as Fp8e5m2FNUZAct
from qat.quantizers.ready.floats_fnuz import (
    Fp8e5m2FNUZActPerTensorFloat as Fp8e5m2FNUZActPerTensorFloat,
)
from qat.quantizers.ready.floats_fnuz import (
    Fp8e5m2FNUZActPerTensorFloatMSE as Fp8e5m2FNUZActPerTensorFloatMSE,
)
from qat.quantizers.ready.floats_fnuz import Fp8e5m2FNUZWeight as Fp8e5m2FNUZWeight
from qat.quantizers.ready.floats_fnuz import (
    Fp8e5m2FNUZWeightPerChannelFloat as Fp8e5m2FNUZWeightPerChannelFloat,
)
from qat.quantizers.ready.floats_fnuz import (
    Fp8e5m2FNUZWeightPerChannelFloatMSE as Fp8e5m2FNUZWeightPerChannelFloatMSE,
)
from qat.quantizers.ready.floats_fnuz import (
    Fp8e5m2FNUZWeightPerTensorFloat as Fp8e5m2FNUZWeightPerTensorFloat,
)
from qat.quantizers.ready.floats_fnuz import (
    Fp8e5m2FNUZWeightPerTensorFloatMSE as Fp8e5m2FNUZWeightPerTensorFloatMSE,
)
from qat.quantizers.ready.floats_fnuz import FpFNUZAct as FpFNUZAct
from qat.quantizers.ready.floats_fnuz import (
    FpFNUZActPerChannelFloat2d as FpFNUZActPerChannelFloat2d,
)
from qat.quantizers.ready.floats_fnuz import (
    FpFNUZActPerChannelFloat2dMSE as FpFNUZActPerChannelFloat2dMSE,
)
from qat.quantizers.ready.floats_fnuz import FpFNUZActPerTensorFloat as FpFNUZActPerTensorFloat
from qat.quantizers.ready.floats_fnuz import (
    FpFNUZActPerTensorFloatMSE as FpFNUZActPerTensorFloatMSE,
)
from qat.quantizers.ready.floats_fnuz import FpFNUZWeight as FpFNUZWeight
from qat.quantizers.ready.floats_fnuz import (
    FpFNUZWeightPerChannelFloat as FpFNUZWeightPerChannelFloat,
)
from qat.quantizers.ready.floats_fnuz import (
    FpFNUZWeightPerChannelFloatMSE as FpFNUZWeightPerChannelFloatMSE,
)
from qat.quantizers.ready.floats_fnuz import (
    FpFNUZWeightPerTensorFloat as FpFNUZWeightPerTensorFloat,
)
from qat.quantizers.ready.floats_fnuz import (
    FpFNUZWeightPerTensorFloatMSE as FpFNUZWeightPerTensorFloatMSE,
)
from qat.quantizers.ready.floats_ocp import Fp8e4m3OCPAct as Fp8e4m3OCPAct
from qat.quantizers.ready.floats_ocp import (
    Fp8e4m3OCPActPerTensorFloat as Fp8e4m3OCPActPerTensorFloat,
)
from qat.quantizers.ready.floats_ocp import (
    Fp8e4m3OCPActPerTensorFloatMSE as Fp8e4m3OCPActPerTensorFloatMSE,
)
from qat.quantizers.ready.floats_ocp import Fp8e4m3OCPWeight as Fp8e4m3OCPWeight
from qat.quantizers.ready.floats_ocp import (
    Fp8e4m3OCPWeightPerChannelFloat as Fp8e4m3OCPWeightPerChannelFloat,
)
from qat.quantizers.ready.floats_ocp import (
    Fp8e4m3OCPWeightPerChannelFloatMSE as Fp8e4m3OCPWeightPerChannelFloatMSE,
)
from qat.quantizers.ready.floats_ocp import (
    Fp8e4m3OCPWeightPerTensorFloat as Fp8e4m3OCPWeightPerTensorFloat,
)
from qat.quantizers.ready.floats_ocp import (
    Fp8e4m3OCPWeightPerTensorFloatMSE as Fp8e4m3OCPWeightPerTensorFloatMSE,
)
from qat.quantizers.ready.floats_ocp import Fp8e5m2OCPAct as Fp8e5m2OCPAct
from qat.quantizers.ready.floats_ocp import (
    Fp8e5m2OCPActPerTensorFloat as Fp8e5m2OCPActPerTensorFloat,
)
from qat.quantizers.ready.floats_ocp import (
    Fp8e5m2OCPActPerTensorFloatMSE as Fp8e5m2OCPActPerTensorFloatMSE,
)
from qat.quantizers.ready.floats_ocp import Fp8e5m2OCPWeight as Fp8e5m2OCPWeight
from qat.quantizers.ready.floats_ocp import (
    Fp8e5m2OCPWeightPerChannelFloat as Fp8e5m2OCPWeightPerChannelFloat,
)
from qat.quantizers.ready.floats_ocp import (
    Fp8e5m2OCPWeightPerChannelFloatMSE as Fp8e5m2OCPWeightPerChannelFloatMSE,
)
from qat.quantizers.ready.floats_ocp import (
    Fp8e5m2OCPWeightPerTensorFloat as Fp8e5m2OCPWeightPerTensorFloat,
)
from qat.quantizers.ready.floats_ocp import (
    Fp8e5m2OCPWeightPerTensorFloatMSE as Fp8e5m2OCPWeightPerTensorFloatMSE,
)
from qat.quantizers.ready.floats_ocp import FpOCPAct as FpOCPAct
from qat.quantizers.ready.floats_ocp import FpOCPActPerChannelFloat2d as FpOCPActPerChannelFloat2d
from qat.quantizers.ready.floats_ocp import (
    FpOCPActPerChannelFloat2dMSE as FpOCPActPerChannelFloat2dMSE,
)
from qat.quantizers.ready.floats_ocp import FpOCPActPerTensorFloat as FpOCPActPerTensorFloat
from qat.quantizers.ready.floats_ocp import FpOCPActPerTensorFloatMSE as FpOCPActPerTensorFloatMSE
from qat.quantizers.ready.floats_ocp import FpOCPWeight as FpOCPWeight
from qat.quantizers.ready.floats_ocp import FpOCPWeightPerChannelFloat as FpOCPWeightPerChannelFloat
from qat.quantizers.ready.floats_ocp import (
    FpOCPWeightPerChannelFloatMSE as FpOCPWeightPerChannelFloatMSE,
)
from qat.quantizers.ready.floats_ocp import FpOCPWeightPerTensorFloat as FpOCPWeightPerTensorFloat
from qat.quantizers.ready.floats_ocp import (
    FpOCPWeightPerTensorFloatMSE as FpOCPWeightPerTensorFloatMSE,
)
from qat.quantizers.ready.groups import (
    ShiftedUint8WeightGroupQuantFloat as ShiftedUint8WeightGroupQuantFloat,
)
from qat.quantizers.ready.groups import (
    ShiftedUint8WeightPerGroupFloatHQO as ShiftedUint8WeightPerGroupFloatHQO,
)
from qat.quantizers.ready.low_bit_papers import DoReFaAct as DoReFaAct
from qat.quantizers.ready.low_bit_papers import DoReFaWeight as DoReFaWeight
from qat.quantizers.ready.low_bit_papers import LSQAct as LSQAct
from qat.quantizers.ready.low_bit_papers import LSQPlusAct as LSQPlusAct
from qat.quantizers.ready.low_bit_papers import LSQUnsignedAct as LSQUnsignedAct
from qat.quantizers.ready.low_bit_papers import LSQWeightPerChannel as LSQWeightPerChannel
from qat.quantizers.ready.low_bit_papers import LSQWeightPerTensor as LSQWeightPerTensor
from qat.quantizers.ready.low_bit_papers import PACTAct as PACTAct
from qat.quantizers.ready.mx import MXActMixin as MXActMixin
from qat.quantizers.ready.mx import MXFloat4e2m1Act as MXFloat4e2m1Act
from qat.quantizers.ready.mx import MXFloat4e2m1Weight as MXFloat4e2m1Weight
from qat.quantizers.ready.mx import MXFloat6e2m3Act as MXFloat6e2m3Act
from qat.quantizers.ready.mx import MXFloat6e2m3Weight as MXFloat6e2m3Weight
from qat.quantizers.ready.mx import MXFloat6e3m2Act as MXFloat6e3m2Act
from qat.quantizers.ready.mx import MXFloat6e3m2Weight as MXFloat6e3m2Weight
from qat.quantizers.ready.mx import MXFloat8e4m3Act as MXFloat8e4m3Act
from qat.quantizers.ready.mx import MXFloat8e4m3Weight as MXFloat8e4m3Weight
from qat.quantizers.ready.mx import MXFloat8e4m3WeightMSE as MXFloat8e4m3WeightMSE
from qat.quantizers.ready.mx import MXFloat8e5m2Act as MXFloat8e5m2Act
from qat.quantizers.ready.mx import MXFloat8e5m2Weight as MXFloat8e5m2Weight
from qat.quantizers.ready.mx import MXFloatAct as MXFloatAct
from qat.quantizers.ready.mx import MXFloatWeight as MXFloatWeight
from qat.quantizers.ready.mx import MXInt8Act as MXInt8Act
from qat.quantizers.ready.mx import MXInt8Weight as MXInt8Weight
from qat.quantizers.ready.mx import MXInt8WeightMSE as MXInt8WeightMSE
from qat.quantizers.ready.mx import MXMixin as MXMixin
from qat.quantizers.ready.mx import MXWeightMixin as MXWeightMixin
from qat.quantizers.ready.mx import ShiftedMXUInt8Weight as ShiftedMXUInt8Weight
from qat.quantizers.ready.mx import ShiftedMXUInt8WeightMSE as ShiftedMXUInt8WeightMSE
from qat.quantizers.ready.none import NoneActQuant as NoneActQuant
from qat.quantizers.ready.none import NoneBiasQuant as NoneBiasQuant
from qat.quantizers.ready.none import NoneClampQuant as NoneClampQuant
from qat.quantizers.ready.none import NoneTruncQuant as NoneTruncQuant
from qat.quantizers.ready.none import NoneWeightQuant as NoneWeightQuant
from qat.quantizers.ready.shifted import (
    ShiftedUint8ActPerTensorFixedPoint as ShiftedUint8ActPerTensorFixedPoint,
)
from qat.quantizers.ready.shifted import (
    ShiftedUint8ActPerTensorFixedPointMSE as ShiftedUint8ActPerTensorFixedPointMSE,
)
from qat.quantizers.ready.shifted import (
    ShiftedUint8ActPerTensorFloat as ShiftedUint8ActPerTensorFloat,
)
from qat.quantizers.ready.shifted import (
    ShiftedUint8ActPerTensorFloatHQO as ShiftedUint8ActPerTensorFloatHQO,
)
from qat.quantizers.ready.shifted import (
    ShiftedUint8ActPerTensorFloatMSE as ShiftedUint8ActPerTensorFloatMSE,
)
from qat.quantizers.ready.shifted import (
    ShiftedUint8WeightPerChannelFloat as ShiftedUint8WeightPerChannelFloat,
)
from qat.quantizers.ready.shifted import (
    ShiftedUint8WeightPerChannelFloatHQO as ShiftedUint8WeightPerChannelFloatHQO,
)
from qat.quantizers.ready.shifted import (
    ShiftedUint8WeightPerChannelFloatMSE as ShiftedUint8WeightPerChannelFloatMSE,
)
from qat.quantizers.ready.shifted import (
    ShiftedUint8WeightPerTensorFloat as ShiftedUint8WeightPerTensorFloat,
)
from qat.quantizers.ready.shifted import (
    ShiftedUint8WeightPerTensorFloatHQO as ShiftedUint8WeightPerTensorFloatHQO,
)
from qat.quantizers.ready.shifted import (
    ShiftedUint8WeightPerTensorFloatMSE as ShiftedUint8WeightPerTensorFloatMSE,
)
from qat.quantizers.ready.weight import Int8WeightPerChannelFloat as Int8WeightPerChannelFloat
from qat.quantizers.ready.weight import Int8WeightPerChannelFloatHQO as Int8WeightPerChannelFloatHQO
from qat.quantizers.ready.weight import Int8WeightPerChannelFloatMSE as Int8WeightPerChannelFloatMSE
from qat.quantizers.ready.weight import Int8WeightPerTensorFloat as Int8WeightPerTensorFloat
from qat.quantizers.ready.weight import Int8WeightPerTensorFloatHQO as Int8WeightPerTensorFloatHQO
from qat.quantizers.ready.weight import Int8WeightPerTensorFloatMSE as Int8WeightPerTensorFloatMSE
from qat.quantizers.ready.weight import (
    SignedBinaryWeightPerTensorConst as SignedBinaryWeightPerTensorConst,
)
from qat.quantizers.ready.weight import (
    SignedTernaryWeightPerTensorConst as SignedTernaryWeightPerTensorConst,
)
from qat.quantizers.registry import ready_made as ready_made
from qat.quantizers.registry import ready_made_names as ready_made_names
from qat.quantizers.resolve.float_presets import FloatActBase as FloatActBase
from qat.quantizers.resolve.float_presets import FloatBase as FloatBase
from qat.quantizers.resolve.float_presets import FloatWeightBase as FloatWeightBase
from qat.quantizers.resolve.float_presets import Fp4e2m1Mixin as Fp4e2m1Mixin
from qat.quantizers.resolve.float_presets import Fp6e2m3Mixin as Fp6e2m3Mixin
from qat.quantizers.resolve.float_presets import Fp6e3m2Mixin as Fp6e3m2Mixin
from qat.quantizers.resolve.float_presets import Fp8e4m3Mixin as Fp8e4m3Mixin
from qat.quantizers.resolve.float_presets import Fp8e5m2Mixin as Fp8e5m2Mixin
from qat.quantizers.resolve.float_presets import FpFNUZMixin as FpFNUZMixin
from qat.quantizers.resolve.float_presets import FpOCPMixin as FpOCPMixin
from qat.quantizers.resolve.float_presets import ScaledFloatActBase as ScaledFloatActBase
from qat.quantizers.resolve.float_presets import ScaledFloatWeightBase as ScaledFloatWeightBase
