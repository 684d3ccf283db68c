"""Statistics by name: of thresholds, and of zero points."""

from qat.components.stats.both_sides import (
    AbsMinMax,
    NegativeMinOrZero,
    NegativePercentileOrZero,
    PercentileInterval,
)
from qat.components.stats.deviation import MeanLearnedSigmaStd, MeanSigmaStd
from qat.components.stats.divergence import KLMinimizerThreshold
from qat.components.stats.half_quadratic import (
    HalfQuadraticOptimizerScale,
    HalfQuadraticOptimizerZeroPoint,
)
from qat.components.stats.magnitude import (
    AbsAve,
    AbsMax,
    AbsMaxAve,
    AbsMaxL2,
    AbsPercentile,
    SignedAbsMax,
)
from qat.components.stats.squared_error import MSE, MSEZeroPoint
from qat.enums import StatsOp

STATS = {
    StatsOp.MAX: AbsMax,
    StatsOp.AVE: AbsAve,
    StatsOp.MAX_AVE: AbsMaxAve,
    StatsOp.MAX_L2: AbsMaxL2,
    StatsOp.PERCENTILE: AbsPercentile,
    StatsOp.MEAN_SIGMA_STD: MeanSigmaStd,
    StatsOp.MEAN_LEARN_SIGMA_STD: MeanLearnedSigmaStd,
    StatsOp.KL: KLMinimizerThreshold,
    StatsOp.MSE: MSE,
    StatsOp.HQO: HalfQuadraticOptimizerScale,
    StatsOp.MIN_MAX: AbsMinMax,
    StatsOp.PERCENTILE_INTERVAL: PercentileInterval,
    StatsOp.SIGNED_MAX: SignedAbsMax,
}
#: Each gives the lowest number to keep, at most 0: where the grid of a zero point begins.
ZERO_POINT_STATS = {
    StatsOp.MIN_MAX: NegativeMinOrZero,
    StatsOp.PERCENTILE_INTERVAL: NegativePercentileOrZero,
    StatsOp.MSE: MSEZeroPoint,
    StatsOp.HQO: HalfQuadraticOptimizerZeroPoint,
}
