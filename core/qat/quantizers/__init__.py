"""Ready-made quantizers, by the names of the public library Brevitas."""

from qat.quantizers import float_presets as float_presets
from qat.quantizers import presets as presets
from qat.quantizers import resolvers as resolvers
from qat.quantizers import roles as roles
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

# Made from a table, and listed in minifloat.pyi.
from qat.quantizers.ready.minifloat import *  # noqa: F403
from qat.quantizers.ready.mx import MXActMixin as MXActMixin
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
from qat.quantizers.resolve.float_presets import FpFNUZMixin as FpFNUZMixin
from qat.quantizers.resolve.float_presets import FpOCPMixin as FpOCPMixin
from qat.quantizers.resolve.float_presets import ScaledFloatActBase as ScaledFloatActBase
from qat.quantizers.resolve.float_presets import ScaledFloatWeightBase as ScaledFloatWeightBase
