"""How a real number becomes an integer, by name."""

from qat.enums import FloatToIntImplType

from .learned import LearnedRoundSte
from .ste import CeilSte, DPURoundSte, FloorSte, RoundSte, RoundToZeroSte
from .stochastic import StochasticRoundSte

FLOAT_TO_INT = {
    FloatToIntImplType.ROUND: RoundSte,
    FloatToIntImplType.CEIL: CeilSte,
    FloatToIntImplType.FLOOR: FloorSte,
    FloatToIntImplType.ROUND_TO_ZERO: RoundToZeroSte,
    FloatToIntImplType.DPU: DPURoundSte,
    FloatToIntImplType.LEARNED_ROUND: LearnedRoundSte,
    FloatToIntImplType.STOCHASTIC_ROUND: StochasticRoundSte,
}
