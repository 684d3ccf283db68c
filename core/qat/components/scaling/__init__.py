"""Where a quantizer's scale (or threshold) comes from."""

from .fixed import ConstScaling as ConstScaling
from .fixed import ParameterScaling as ParameterScaling
from .from_weight import (
    ParameterFromStatsFromParameterScaling as ParameterFromStatsFromParameterScaling,
)
from .from_weight import SharedStatsFromParameterScaling as SharedStatsFromParameterScaling
from .from_weight import StatsFromParameterScaling as StatsFromParameterScaling
from .int_scaling import IntScaling as IntScaling
from .int_scaling import PowerOfTwoIntScaling as PowerOfTwoIntScaling
from .runtime import ParameterFromRuntimeStatsScaling as ParameterFromRuntimeStatsScaling
from .runtime import RuntimeStatsScaling as RuntimeStatsScaling
