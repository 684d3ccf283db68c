"""Rounding modules: a real number to an integer, with a straight-through gradient."""

from qat.components.rounding.learned import LEARNED_ROUND as LEARNED_ROUND
from qat.components.rounding.learned import LearnedRoundHardSigmoid as LearnedRoundHardSigmoid
from qat.components.rounding.learned import LearnedRoundIdentity as LearnedRoundIdentity
from qat.components.rounding.learned import LearnedRoundSigmoid as LearnedRoundSigmoid
from qat.components.rounding.learned import LearnedRoundSte as LearnedRoundSte
from qat.components.rounding.ste import CeilSte as CeilSte
from qat.components.rounding.ste import DPURoundSte as DPURoundSte
from qat.components.rounding.ste import FloorSte as FloorSte
from qat.components.rounding.ste import RoundSte as RoundSte
from qat.components.rounding.ste import RoundToZeroSte as RoundToZeroSte
from qat.components.rounding.stochastic import StochasticRoundSte as StochasticRoundSte
from qat.components.rounding.table import FLOAT_TO_INT as FLOAT_TO_INT
