"""Statistics of a tensor that a threshold or a zero point is taken from.

Each takes a view made by :mod:`qat.components.shape`: ``[elements]`` with ``stats_reduce_dim=None``
gives a 0-dimensional result, ``[rows, elements]`` with ``stats_reduce_dim=1`` gives ``[rows]``.

Those that are one element of the tensor, or of its magnitudes, hand it their gradient. Where none
is wanted, as for an activation, they are taken in one pass, without sorting and mostly without
copying.
"""

from .both_sides import AbsMinMax as AbsMinMax
from .both_sides import NegativeMinOrZero as NegativeMinOrZero
from .both_sides import NegativePercentileOrZero as NegativePercentileOrZero
from .both_sides import PercentileInterval as PercentileInterval
from .deviation import MeanLearnedSigmaStd as MeanLearnedSigmaStd
from .deviation import MeanSigmaStd as MeanSigmaStd
from .divergence import KLMinimizerThreshold as KLMinimizerThreshold
from .float_search_grid import FloatSearchGrid as FloatSearchGrid
from .half_quadratic import HalfQuadraticOptimizerScale as HalfQuadraticOptimizerScale
from .half_quadratic import HalfQuadraticOptimizerZeroPoint as HalfQuadraticOptimizerZeroPoint
from .magnitude import AbsAve as AbsAve
from .magnitude import AbsMax as AbsMax
from .magnitude import AbsMaxAve as AbsMaxAve
from .magnitude import AbsMaxL2 as AbsMaxL2
from .magnitude import AbsPercentile as AbsPercentile
from .magnitude import SignedAbsMax as SignedAbsMax
from .norms import L1Norm as L1Norm
from .norms import L2Norm as L2Norm
from .search_grid import IntSearchGrid as IntSearchGrid
from .squared_error import MSE as MSE
from .squared_error import MSEZeroPoint as MSEZeroPoint
from .tables import STATS as STATS
from .tables import ZERO_POINT_STATS as ZERO_POINT_STATS
from .wrappers import _Stats as _Stats
from .wrappers import widened as widened
