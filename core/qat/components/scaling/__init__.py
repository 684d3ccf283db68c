"""Where a quantizer's scale (or threshold) comes from."""

from .base import attribute as attribute
from .base import reads_input as reads_input
from .fixed import ConstScaling as ConstScaling
from .fixed import ParameterScaling as ParameterScaling
from .from_weight import (
    ParameterFromStatsFromParameterScaling as ParameterFromStatsFromParameterScaling,
)
from .from_weight import SharedStatsFromParameterScaling as SharedStatsFromParameterScaling
from .from_weight import StatsFromParameterScaling as StatsFromParameterScaling
from .int_scaling import IntScaling as IntScaling
from .int_scaling import PowerOfTwoIntScaling as PowerOfTwoIntScaling
from .phase import collects_statistics as collects_statistics
from .phase import finish_collecting as finish_collecting
from .phase import finish_statistics as finish_statistics
from .phase import start_collecting as start_collecting
from .runtime import ParameterFromRuntimeStatsScaling as ParameterFromRuntimeStatsScaling
from .runtime import RuntimeStatsScaling as RuntimeStatsScaling
