"""How a real number becomes an integer, by name."""

from qat.components.rounding.learned import LearnedRoundSte
from qat.components.rounding.ste import CeilSte, DPURoundSte, FloorSte, RoundSte, RoundToZeroSte
from qat.components.rounding.stochastic import StochasticRoundSte
from qat.enums import FloatToIntImplType

FLOAT_TO_INT = {
    FloatToIntImplType.ROUND: RoundSte,
    FloatToIntImplType.CEIL: CeilSte,
    FloatToIntImplType.FLOOR: FloorSte,
    FloatToIntImplType.ROUND_TO_ZERO: RoundToZeroSte,
    FloatToIntImplType.DPU: DPURoundSte,
    FloatToIntImplType.LEARNED_ROUND: LearnedRoundSte,
    FloatToIntImplType.STOCHASTIC_ROUND: StochasticRoundSte,
}
