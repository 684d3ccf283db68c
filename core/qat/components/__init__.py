"""The modules that quantizers are assembled from."""

from .bit_width import BitWidthConst as BitWidthConst
from .bit_width import BitWidthParameter as BitWidthParameter
from .bit_width import BitWidthStatefulConst as BitWidthStatefulConst
from .bit_width import MsbClampBitWidth as MsbClampBitWidth
from .bit_width import RemoveBitwidthParameter as RemoveBitwidthParameter
from .clamp import ClampMin as ClampMin
from .clamp import InplaceTensorClampSte as InplaceTensorClampSte
from .clamp import ScalarClamp as ScalarClamp
from .clamp import ScalarClampMinSte as ScalarClampMinSte
from .clamp import ScalarClampSte as ScalarClampSte
from .clamp import TensorClamp as TensorClamp
from .clamp import TensorClampSte as TensorClampSte
from .delay import DelayWrapper as DelayWrapper
from .pre_zero_point import PreZeroCenterZeroPoint as PreZeroCenterZeroPoint
from .prepare import Standardize as Standardize
from .prepare import TanhNormalize as TanhNormalize
from .quant import BinaryQuant as BinaryQuant
from .quant import ClampedBinaryQuant as ClampedBinaryQuant
from .quant import DecoupledIntQuant as DecoupledIntQuant
from .quant import DecoupledRescalingIntQuant as DecoupledRescalingIntQuant
from .quant import DecoupledRescalingIntQuantWithInput as DecoupledRescalingIntQuantWithInput
from .quant import DoReFaQuant as DoReFaQuant
from .quant import EstimatedBinaryQuant as EstimatedBinaryQuant
from .quant import FloatQuant as FloatQuant
from .quant import GroupwiseQuant as GroupwiseQuant
from .quant import IntQuant as IntQuant
from .quant import PACTQuant as PACTQuant
from .quant import PrescaledRestrictIntQuant as PrescaledRestrictIntQuant
from .quant import (
    PrescaledRestrictIntQuantWithInputBitWidth as PrescaledRestrictIntQuantWithInputBitWidth,
)
from .quant import RealZeroPointIntQuant as RealZeroPointIntQuant
from .quant import RescalingIntQuant as RescalingIntQuant
from .quant import TernaryQuant as TernaryQuant
from .quant import TruncIntQuant as TruncIntQuant
from .quant import TwoSidedTernaryQuant as TwoSidedTernaryQuant
from .restrict import FloatRestrictValue as FloatRestrictValue
from .restrict import FloorPowerOfTwoRestrictValue as FloorPowerOfTwoRestrictValue
from .restrict import IntRestrictValue as IntRestrictValue
from .restrict import LogFloatRestrictValue as LogFloatRestrictValue
from .restrict import PowerOfTwoRestrictValue as PowerOfTwoRestrictValue
from .restrict import SignedFloatRestrictValue as SignedFloatRestrictValue
from .rounding import CeilSte as CeilSte
from .rounding import DPURoundSte as DPURoundSte
from .rounding import FloorSte as FloorSte
from .rounding import LearnedRoundHardSigmoid as LearnedRoundHardSigmoid
from .rounding import LearnedRoundIdentity as LearnedRoundIdentity
from .rounding import LearnedRoundSigmoid as LearnedRoundSigmoid
from .rounding import LearnedRoundSte as LearnedRoundSte
from .rounding import RoundSte as RoundSte
from .rounding import RoundToZeroSte as RoundToZeroSte
from .rounding import StochasticRoundSte as StochasticRoundSte
from .scaling import (
    AccumulatorAwareParameterPreScaling as AccumulatorAwareParameterPreScaling,
)
from .scaling import (
    AccumulatorAwareZeroCenterParameterPreScaling as AccumulatorAwareZeroCenterParameterPreScaling,
)
from .scaling import AffineStatsScaling as AffineStatsScaling
from .scaling import ConstScaling as ConstScaling
from .scaling import ElementIntScaling as ElementIntScaling
from .scaling import FloatScaling as FloatScaling
from .scaling import IntScaling as IntScaling
from .scaling import LearnedTwoSidedScaling as LearnedTwoSidedScaling
from .scaling import LSQPlusStep as LSQPlusStep
from .scaling import LSQPlusZeroPoint as LSQPlusZeroPoint
from .scaling import LSQScaling as LSQScaling
from .scaling import LSQScalingFromParameter as LSQScalingFromParameter
from .scaling import LSQStep as LSQStep
from .scaling import MeanBeyondThreshold as MeanBeyondThreshold
from .scaling import (
    ParameterFromRuntimeStatsScaling as ParameterFromRuntimeStatsScaling,
)
from .scaling import (
    ParameterFromStatsFromParameterScaling as ParameterFromStatsFromParameterScaling,
)
from .scaling import ParameterPreScalingWeightNorm as ParameterPreScalingWeightNorm
from .scaling import ParameterScaling as ParameterScaling
from .scaling import PowerOfTwoFloatScaling as PowerOfTwoFloatScaling
from .scaling import PowerOfTwoIntScaling as PowerOfTwoIntScaling
from .scaling import RuntimeDynamicRowStatsScaling as RuntimeDynamicRowStatsScaling
from .scaling import RuntimeDynamicStatsScaling as RuntimeDynamicStatsScaling
from .scaling import RuntimeStatsScaling as RuntimeStatsScaling
from .scaling import StatsFromParameterScaling as StatsFromParameterScaling
from .scaling import StatsPreScaling as StatsPreScaling
from .scaling import StepIntScaling as StepIntScaling
from .scaling import TernaryThreshold as TernaryThreshold
from .scaling import TruncMsbScaling as TruncMsbScaling
from .scaling import TruncScalingWrapper as TruncScalingWrapper
from .scaling import finish_statistics as finish_statistics
from .scaling import hold_statistics as hold_statistics
from .scaling import statistics_left as statistics_left
from .shape import OverBatchOverTensorView as OverBatchOverTensorView
from .shape import OverOutputChannelView as OverOutputChannelView
from .shape import OverRowView as OverRowView
from .shape import OverTensorView as OverTensorView
from .sign import ProgressiveSharpness as ProgressiveSharpness
from .sign import set_progress as set_progress
from .stateless import StatelessBuffer as StatelessBuffer
from .stats import MSE as MSE
from .stats import AbsAve as AbsAve
from .stats import AbsMax as AbsMax
from .stats import AbsMaxAve as AbsMaxAve
from .stats import AbsMaxL2 as AbsMaxL2
from .stats import AbsMinMax as AbsMinMax
from .stats import AbsPercentile as AbsPercentile
from .stats import FloatSearchGrid as FloatSearchGrid
from .stats import HalfQuadraticOptimizerScale as HalfQuadraticOptimizerScale
from .stats import HalfQuadraticOptimizerZeroPoint as HalfQuadraticOptimizerZeroPoint
from .stats import IntSearchGrid as IntSearchGrid
from .stats import KLMinimizerThreshold as KLMinimizerThreshold
from .stats import L1Norm as L1Norm
from .stats import L2Norm as L2Norm
from .stats import MeanLearnedSigmaStd as MeanLearnedSigmaStd
from .stats import MeanSigmaStd as MeanSigmaStd
from .stats import MSEZeroPoint as MSEZeroPoint
from .stats import NegativeMinOrZero as NegativeMinOrZero
from .stats import NegativePercentileOrZero as NegativePercentileOrZero
from .stats import PercentileInterval as PercentileInterval
from .stats import SignedAbsMax as SignedAbsMax
from .zero_point import ParameterFromRuntimeZeroPoint as ParameterFromRuntimeZeroPoint
from .zero_point import (
    ParameterFromStatsFromParameterZeroPoint as ParameterFromStatsFromParameterZeroPoint,
)
from .zero_point import ParameterZeroPoint as ParameterZeroPoint
from .zero_point import RuntimeDynamicZeroPoint as RuntimeDynamicZeroPoint
from .zero_point import SharedStatsFromParameterZeroPoint as SharedStatsFromParameterZeroPoint
from .zero_point import StatsFromParameterZeroPoint as StatsFromParameterZeroPoint
from .zero_point import ZeroZeroPoint as ZeroZeroPoint
