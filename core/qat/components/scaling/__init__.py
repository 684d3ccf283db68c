"""Where a quantizer's scale (or threshold) comes from."""

from .accumulator import (
    AccumulatorAwareParameterPreScaling as AccumulatorAwareParameterPreScaling,
)
from .accumulator import (
    AccumulatorAwareZeroCenterParameterPreScaling as AccumulatorAwareZeroCenterParameterPreScaling,
)
from .affine import AffineStatsScaling as AffineStatsScaling
from .base import attribute as attribute
from .base import reads_input as reads_input
from .dynamic import RuntimeDynamicRowStatsScaling as RuntimeDynamicRowStatsScaling
from .dynamic import RuntimeDynamicStatsScaling as RuntimeDynamicStatsScaling
from .fixed import ConstScaling as ConstScaling
from .fixed import ParameterScaling as ParameterScaling
from .float_scaling import FloatScaling as FloatScaling
from .float_scaling import PowerOfTwoFloatScaling as PowerOfTwoFloatScaling
from .from_weight import (
    ParameterFromStatsFromParameterScaling as ParameterFromStatsFromParameterScaling,
)
from .from_weight import SharedStatsFromParameterScaling as SharedStatsFromParameterScaling
from .from_weight import StatsFromParameterScaling as StatsFromParameterScaling
from .from_weight import he_scale as he_scale
from .int_scaling import ElementIntScaling as ElementIntScaling
from .int_scaling import IntScaling as IntScaling
from .int_scaling import PowerOfTwoIntScaling as PowerOfTwoIntScaling
from .lsq import LSQScaling as LSQScaling
from .lsq import LSQScalingFromParameter as LSQScalingFromParameter
from .lsq import LSQStep as LSQStep
from .lsq import StepIntScaling as StepIntScaling
from .lsq_plus import LSQPlusStep as LSQPlusStep
from .lsq_plus import LSQPlusZeroPoint as LSQPlusZeroPoint
from .phase import collects_statistics as collects_statistics
from .phase import finish_collecting as finish_collecting
from .phase import finish_statistics as finish_statistics
from .phase import hold_statistics as hold_statistics
from .phase import start_collecting as start_collecting
from .phase import statistics_left as statistics_left
from .pre_scaling import ParameterPreScalingWeightNorm as ParameterPreScalingWeightNorm
from .pre_scaling import StatsPreScaling as StatsPreScaling
from .runtime import ParameterFromRuntimeStatsScaling as ParameterFromRuntimeStatsScaling
from .runtime import RuntimeStatsScaling as RuntimeStatsScaling
from .ternary import LearnedTwoSidedScaling as LearnedTwoSidedScaling
from .ternary import MeanBeyondThreshold as MeanBeyondThreshold
from .ternary import TernaryThreshold as TernaryThreshold
from .trunc import TRUNC_SCALING as TRUNC_SCALING
from .trunc import TruncMsbScaling as TruncMsbScaling
from .trunc import TruncScalingWrapper as TruncScalingWrapper
