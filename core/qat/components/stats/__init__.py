"""Statistics that a threshold or a zero point is taken from.

Each takes a view made by :mod:`qat.components.views`: ``[elements]`` with ``stats_reduce_dim=None``
gives a 0-dimensional result, ``[rows, elements]`` with ``stats_reduce_dim=1`` gives ``[rows]``.

Those that are one element of the tensor, or of its magnitudes, hand it their gradient. Where none
is wanted, as for an activation, they are taken in one pass, without sorting and mostly without
copying.
"""

from qat.components.stats.both_sides import AbsMinMax as AbsMinMax
from qat.components.stats.both_sides import NegativeMinOrZero as NegativeMinOrZero
from qat.components.stats.both_sides import NegativePercentileOrZero as NegativePercentileOrZero
from qat.components.stats.both_sides import PercentileInterval as PercentileInterval
from qat.components.stats.deviation import MeanLearnedSigmaStd as MeanLearnedSigmaStd
from qat.components.stats.deviation import MeanSigmaStd as MeanSigmaStd
from qat.components.stats.divergence import KLMinimizerThreshold as KLMinimizerThreshold
from qat.components.stats.half_quadratic import (
    HalfQuadraticOptimizerScale as HalfQuadraticOptimizerScale,
)
from qat.components.stats.half_quadratic import (
    HalfQuadraticOptimizerZeroPoint as HalfQuadraticOptimizerZeroPoint,
)
from qat.components.stats.magnitude import AbsAve as AbsAve
from qat.components.stats.magnitude import AbsMax as AbsMax
from qat.components.stats.magnitude import AbsMaxAve as AbsMaxAve
from qat.components.stats.magnitude import AbsMaxL2 as AbsMaxL2
from qat.components.stats.magnitude import AbsPercentile as AbsPercentile
from qat.components.stats.magnitude import L1Norm as L1Norm
from qat.components.stats.magnitude import L2Norm as L2Norm
from qat.components.stats.magnitude import SignedAbsMax as SignedAbsMax
from qat.components.stats.search_grid import FloatSearchGrid as FloatSearchGrid
from qat.components.stats.search_grid import IntSearchGrid as IntSearchGrid
from qat.components.stats.squared_error import MSE as MSE
from qat.components.stats.squared_error import MSEZeroPoint as MSEZeroPoint
from qat.components.stats.tables import STATS as STATS
from qat.components.stats.tables import ZERO_POINT_STATS as ZERO_POINT_STATS
from qat.components.stats.wrappers import Stats as Stats
from qat.components.stats.wrappers import widened as widened
