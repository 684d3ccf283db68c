"""The modules that quantizers are assembled from."""

from qat.components.bit_width import BitWidthConst as BitWidthConst
from qat.components.bit_width import BitWidthParameter as BitWidthParameter
from qat.components.bit_width import BitWidthStatefulConst as BitWidthStatefulConst
from qat.components.bit_width import MsbClampBitWidth as MsbClampBitWidth
from qat.components.bit_width import RemoveBitwidthParameter as RemoveBitwidthParameter
from qat.components.buffers import StatelessBuffer as StatelessBuffer
from qat.components.clamp import ClampMin as ClampMin
from qat.components.clamp import InplaceTensorClampSte as InplaceTensorClampSte
from qat.components.clamp import ScalarClamp as ScalarClamp
from qat.components.clamp import ScalarClampMinSte as ScalarClampMinSte
from qat.components.clamp import ScalarClampSte as ScalarClampSte
from qat.components.clamp import TensorClamp as TensorClamp
from qat.components.clamp import TensorClampSte as TensorClampSte
from qat.components.delay import DelayWrapper as DelayWrapper
from qat.components.quant import BinaryQuant as BinaryQuant
from qat.components.quant import ClampedBinaryQuant as ClampedBinaryQuant
from qat.components.quant import DecoupledIntQuant as DecoupledIntQuant
from qat.components.quant import DecoupledRescalingIntQuant as DecoupledRescalingIntQuant
from qat.components.quant import (
    DecoupledRescalingIntQuantWithInput as DecoupledRescalingIntQuantWithInput,
)
from qat.components.quant import DoReFaQuant as DoReFaQuant
from qat.components.quant import EstimatedBinaryQuant as EstimatedBinaryQuant
from qat.components.quant import FloatQuant as FloatQuant
from qat.components.quant import GroupwiseQuant as GroupwiseQuant
from qat.components.quant import IntQuant as IntQuant
from qat.components.quant import PACTQuant as PACTQuant
from qat.components.quant import PrescaledRestrictIntQuant as PrescaledRestrictIntQuant
from qat.components.quant import (
    PrescaledRestrictIntQuantWithInputBitWidth as PrescaledRestrictIntQuantWithInputBitWidth,
)
from qat.components.quant import RealZeroPointIntQuant as RealZeroPointIntQuant
from qat.components.quant import RescalingIntQuant as RescalingIntQuant
from qat.components.quant import TernaryQuant as TernaryQuant
from qat.components.quant import TruncIntQuant as TruncIntQuant
from qat.components.quant import TwoSidedTernaryQuant as TwoSidedTernaryQuant
from qat.components.restrict import FloatRestrictValue as FloatRestrictValue
from qat.components.restrict import FloorPowerOfTwoRestrictValue as FloorPowerOfTwoRestrictValue
from qat.components.restrict import IntRestrictValue as IntRestrictValue
from qat.components.restrict import LogFloatRestrictValue as LogFloatRestrictValue
from qat.components.restrict import PowerOfTwoRestrictValue as PowerOfTwoRestrictValue
from qat.components.restrict import SignedFloatRestrictValue as SignedFloatRestrictValue
from qat.components.rounding import CeilSte as CeilSte
from qat.components.rounding import DPURoundSte as DPURoundSte
from qat.components.rounding import FloorSte as FloorSte
from qat.components.rounding import LearnedRoundHardSigmoid as LearnedRoundHardSigmoid
from qat.components.rounding import LearnedRoundIdentity as LearnedRoundIdentity
from qat.components.rounding import LearnedRoundSigmoid as LearnedRoundSigmoid
from qat.components.rounding import LearnedRoundSte as LearnedRoundSte
from qat.components.rounding import RoundSte as RoundSte
from qat.components.rounding import RoundToZeroSte as RoundToZeroSte
from qat.components.rounding import StochasticRoundSte as StochasticRoundSte
from qat.components.scaling import (
    AccumulatorAwareParameterPreScaling as AccumulatorAwareParameterPreScaling,
)
from qat.components.scaling import (
    AccumulatorAwareZeroCenterParameterPreScaling as AccumulatorAwareZeroCenterParameterPreScaling,
)
from qat.components.scaling import AffineStatsScaling as AffineStatsScaling
from qat.components.scaling import ConstScaling as ConstScaling
from qat.components.scaling import ElementIntScaling as ElementIntScaling
from qat.components.scaling import FloatScaling as FloatScaling
from qat.components.scaling import IntScaling as IntScaling
from qat.components.scaling import LearnedTwoSidedScaling as LearnedTwoSidedScaling
from qat.components.scaling import LSQPlusStep as LSQPlusStep
from qat.components.scaling import LSQPlusZeroPoint as LSQPlusZeroPoint
from qat.components.scaling import LSQScaling as LSQScaling
from qat.components.scaling import LSQScalingFromParameter as LSQScalingFromParameter
from qat.components.scaling import LSQStep as LSQStep
from qat.components.scaling import MeanBeyondThreshold as MeanBeyondThreshold
from qat.components.scaling import (
    ParameterFromRuntimeStatsScaling as ParameterFromRuntimeStatsScaling,
)
from qat.components.scaling import (
    ParameterFromStatsFromParameterScaling as ParameterFromStatsFromParameterScaling,
)
from qat.components.scaling import ParameterPreScalingWeightNorm as ParameterPreScalingWeightNorm
from qat.components.scaling import ParameterScaling as ParameterScaling
from qat.components.scaling import PowerOfTwoFloatScaling as PowerOfTwoFloatScaling
from qat.components.scaling import PowerOfTwoIntScaling as PowerOfTwoIntScaling
from qat.components.scaling import RuntimeDynamicRowStatsScaling as RuntimeDynamicRowStatsScaling
from qat.components.scaling import RuntimeDynamicStatsScaling as RuntimeDynamicStatsScaling
from qat.components.scaling import RuntimeStatsScaling as RuntimeStatsScaling
from qat.components.scaling import StatsFromParameterScaling as StatsFromParameterScaling
from qat.components.scaling import StatsPreScaling as StatsPreScaling
from qat.components.scaling import StepIntScaling as StepIntScaling
from qat.components.scaling import TernaryThreshold as TernaryThreshold
from qat.components.scaling import TruncMsbScaling as TruncMsbScaling
from qat.components.scaling import TruncScalingWrapper as TruncScalingWrapper
from qat.components.scaling import finish_statistics as finish_statistics
from qat.components.scaling import hold_statistics as hold_statistics
from qat.components.scaling import statistics_left as statistics_left
from qat.components.sharpness import ProgressiveSharpness as ProgressiveSharpness
from qat.components.sharpness import set_progress as set_progress
from qat.components.stats import MSE as MSE
from qat.components.stats import AbsAve as AbsAve
from qat.components.stats import AbsMax as AbsMax
from qat.components.stats import AbsMaxAve as AbsMaxAve
from qat.components.stats import AbsMaxL2 as AbsMaxL2
from qat.components.stats import AbsMinMax as AbsMinMax
from qat.components.stats import AbsPercentile as AbsPercentile
from qat.components.stats import FloatSearchGrid as FloatSearchGrid
from qat.components.stats import HalfQuadraticOptimizerScale as HalfQuadraticOptimizerScale
from qat.components.stats import HalfQuadraticOptimizerZeroPoint as HalfQuadraticOptimizerZeroPoint
from qat.components.stats import IntSearchGrid as IntSearchGrid
from qat.components.stats import KLMinimizerThreshold as KLMinimizerThreshold
from qat.components.stats import L1Norm as L1Norm
from qat.components.stats import L2Norm as L2Norm
from qat.components.stats import MeanLearnedSigmaStd as MeanLearnedSigmaStd
from qat.components.stats import MeanSigmaStd as MeanSigmaStd
from qat.components.stats import MSEZeroPoint as MSEZeroPoint
from qat.components.stats import NegativeMinOrZero as NegativeMinOrZero
from qat.components.stats import NegativePercentileOrZero as NegativePercentileOrZero
from qat.components.stats import PercentileInterval as PercentileInterval
from qat.components.stats import SignedAbsMax as SignedAbsMax
from qat.components.views import OverBatchOverTensorView as OverBatchOverTensorView
from qat.components.views import OverOutputChannelView as OverOutputChannelView
from qat.components.views import OverRowView as OverRowView
from qat.components.views import OverTensorView as OverTensorView
from qat.components.weight_transforms import PreZeroCenterZeroPoint as PreZeroCenterZeroPoint
from qat.components.weight_transforms import Standardize as Standardize
from qat.components.weight_transforms import TanhNormalize as TanhNormalize
from qat.components.zero_point import ParameterFromRuntimeZeroPoint as ParameterFromRuntimeZeroPoint
from qat.components.zero_point import (
    ParameterFromStatsFromParameterZeroPoint as ParameterFromStatsFromParameterZeroPoint,
)
from qat.components.zero_point import ParameterZeroPoint as ParameterZeroPoint
from qat.components.zero_point import RuntimeDynamicZeroPoint as RuntimeDynamicZeroPoint
from qat.components.zero_point import (
    SharedStatsFromParameterZeroPoint as SharedStatsFromParameterZeroPoint,
)
from qat.components.zero_point import StatsFromParameterZeroPoint as StatsFromParameterZeroPoint
from qat.components.zero_point import ZeroZeroPoint as ZeroZeroPoint
