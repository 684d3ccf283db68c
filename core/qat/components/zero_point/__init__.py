"""Zero points: the integer that 0.0 maps to.

Each is called ``(x, scale, bit_width)``. All but that of a grid around 0 follow from the lowest
number ``l <= 0`` that the grid shall hold, which may be learned: ``zero_point = qmin - l / scale``,
rounded and kept on the grid where ``quantize_zero_point``, real otherwise (see
``RealZeroPointIntQuant``). Gradients go straight through rounding and bounds, to ``l`` and to the
scale: with those of the quantizer they are LSQ+'s (Bhalgat et al. 2020, arXiv:2004.09576).
"""

from qat.components.zero_point.fixed import ParameterZeroPoint as ParameterZeroPoint
from qat.components.zero_point.fixed import ZeroZeroPoint as ZeroZeroPoint
from qat.components.zero_point.from_weight import (
    ParameterFromStatsFromParameterZeroPoint as ParameterFromStatsFromParameterZeroPoint,
)
from qat.components.zero_point.from_weight import (
    SharedStatsFromParameterZeroPoint as SharedStatsFromParameterZeroPoint,
)
from qat.components.zero_point.from_weight import (
    StatsFromParameterZeroPoint as StatsFromParameterZeroPoint,
)
from qat.components.zero_point.runtime import (
    ParameterFromRuntimeZeroPoint as ParameterFromRuntimeZeroPoint,
)
from qat.components.zero_point.runtime import RuntimeDynamicZeroPoint as RuntimeDynamicZeroPoint
