"""The modules that quantizers are assembled from."""

from .bit_width import BitWidthConst as BitWidthConst
from .clamp import ScalarClampMinSte as ScalarClampMinSte
from .clamp import TensorClamp as TensorClamp
from .clamp import TensorClampSte as TensorClampSte
from .delay import DelayWrapper as DelayWrapper
from .quant import BinaryQuant as BinaryQuant
from .quant import ClampedBinaryQuant as ClampedBinaryQuant
from .quant import IntQuant as IntQuant
from .quant import PrescaledRestrictIntQuant as PrescaledRestrictIntQuant
from .quant import RescalingIntQuant as RescalingIntQuant
from .quant import TernaryQuant as TernaryQuant
from .restrict import FloatRestrictValue as FloatRestrictValue
from .restrict import LogFloatRestrictValue as LogFloatRestrictValue
from .restrict import PowerOfTwoRestrictValue as PowerOfTwoRestrictValue
from .rounding import CeilSte as CeilSte
from .rounding import DPURoundSte as DPURoundSte
from .rounding import FloorSte as FloorSte
from .rounding import RoundSte as RoundSte
from .rounding import RoundToZeroSte as RoundToZeroSte
from .scaling import ConstScaling as ConstScaling
from .scaling import IntScaling as IntScaling
from .scaling import (
    ParameterFromRuntimeStatsScaling as ParameterFromRuntimeStatsScaling,
)
from .scaling import (
    ParameterFromStatsFromParameterScaling as ParameterFromStatsFromParameterScaling,
)
from .scaling import ParameterScaling as ParameterScaling
from .scaling import PowerOfTwoIntScaling as PowerOfTwoIntScaling
from .scaling import RuntimeStatsScaling as RuntimeStatsScaling
from .scaling import StatsFromParameterScaling as StatsFromParameterScaling
from .scaling import finish_statistics as finish_statistics
from .shape import OverBatchOverTensorView as OverBatchOverTensorView
from .shape import OverOutputChannelView as OverOutputChannelView
from .shape import OverTensorView as OverTensorView
from .stateless import StatelessBuffer as StatelessBuffer
from .stats import MSE as MSE
from .stats import AbsAve as AbsAve
from .stats import AbsMax as AbsMax
from .stats import AbsMaxAve as AbsMaxAve
from .stats import AbsMaxL2 as AbsMaxL2
from .stats import AbsPercentile as AbsPercentile
from .zero_point import ZeroZeroPoint as ZeroZeroPoint
