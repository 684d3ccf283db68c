"""Sources of a quantizer's scale, or of its threshold."""

from qat.components.scaling.accumulator import (
    AccumulatorAwareParameterPreScaling as AccumulatorAwareParameterPreScaling,
)
from qat.components.scaling.accumulator import (
    AccumulatorAwareZeroCenterParameterPreScaling as AccumulatorAwareZeroCenterParameterPreScaling,
)
from qat.components.scaling.affine import AffineStatsScaling as AffineStatsScaling
from qat.components.scaling.base import attribute as attribute
from qat.components.scaling.base import reads_input as reads_input
from qat.components.scaling.dynamic import (
    RuntimeDynamicRowStatsScaling as RuntimeDynamicRowStatsScaling,
)
from qat.components.scaling.dynamic import RuntimeDynamicStatsScaling as RuntimeDynamicStatsScaling
from qat.components.scaling.fixed import ConstScaling as ConstScaling
from qat.components.scaling.fixed import ParameterScaling as ParameterScaling
from qat.components.scaling.float_scaling import FloatScaling as FloatScaling
from qat.components.scaling.float_scaling import PowerOfTwoFloatScaling as PowerOfTwoFloatScaling
from qat.components.scaling.found_range import found_range as found_range
from qat.components.scaling.found_range import set_range as set_range
from qat.components.scaling.from_weight import (
    ParameterFromStatsFromParameterScaling as ParameterFromStatsFromParameterScaling,
)
from qat.components.scaling.from_weight import (
    SharedStatsFromParameterScaling as SharedStatsFromParameterScaling,
)
from qat.components.scaling.from_weight import (
    StatsFromParameterScaling as StatsFromParameterScaling,
)
from qat.components.scaling.from_weight import he_scale as he_scale
from qat.components.scaling.int_scaling import ElementIntScaling as ElementIntScaling
from qat.components.scaling.int_scaling import IntScaling as IntScaling
from qat.components.scaling.int_scaling import PowerOfTwoIntScaling as PowerOfTwoIntScaling
from qat.components.scaling.lsq import LSQScaling as LSQScaling
from qat.components.scaling.lsq import LSQScalingFromParameter as LSQScalingFromParameter
from qat.components.scaling.lsq import LSQStep as LSQStep
from qat.components.scaling.lsq import StepIntScaling as StepIntScaling
from qat.components.scaling.lsq_plus import LSQPlusStep as LSQPlusStep
from qat.components.scaling.lsq_plus import LSQPlusZeroPoint as LSQPlusZeroPoint
from qat.components.scaling.phase import awaits_statistics as awaits_statistics
from qat.components.scaling.phase import collects_statistics as collects_statistics
from qat.components.scaling.phase import finish_collecting as finish_collecting
from qat.components.scaling.phase import finish_statistics as finish_statistics
from qat.components.scaling.phase import hold_statistics as hold_statistics
from qat.components.scaling.phase import start_collecting as start_collecting
from qat.components.scaling.phase import statistics_left as statistics_left
from qat.components.scaling.pre_scaling import (
    ParameterPreScalingWeightNorm as ParameterPreScalingWeightNorm,
)
from qat.components.scaling.pre_scaling import StatsPreScaling as StatsPreScaling
from qat.components.scaling.runtime import (
    ParameterFromRuntimeStatsScaling as ParameterFromRuntimeStatsScaling,
)
from qat.components.scaling.runtime import RuntimeStatsScaling as RuntimeStatsScaling
from qat.components.scaling.ternary import LearnedTwoSidedScaling as LearnedTwoSidedScaling
from qat.components.scaling.ternary import MeanBeyondThreshold as MeanBeyondThreshold
from qat.components.scaling.ternary import TernaryThreshold as TernaryThreshold
from qat.components.scaling.trunc import TRUNC_SCALING as TRUNC_SCALING
from qat.components.scaling.trunc import TruncMsbScaling as TruncMsbScaling
from qat.components.scaling.trunc import TruncScalingWrapper as TruncScalingWrapper
