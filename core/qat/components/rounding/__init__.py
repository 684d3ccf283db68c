"""Rounding modules: a real number to an integer, with a straight-through gradient."""

from .learned import LEARNED_ROUND as LEARNED_ROUND
from .learned import LearnedRoundHardSigmoid as LearnedRoundHardSigmoid
from .learned import LearnedRoundIdentity as LearnedRoundIdentity
from .learned import LearnedRoundSigmoid as LearnedRoundSigmoid
from .learned import LearnedRoundSte as LearnedRoundSte
from .ste import CeilSte as CeilSte
from .ste import DPURoundSte as DPURoundSte
from .ste import FloorSte as FloorSte
from .ste import RoundSte as RoundSte
from .ste import RoundToZeroSte as RoundToZeroSte
from .stochastic import StochasticRoundSte as StochasticRoundSte
from .table import FLOAT_TO_INT as FLOAT_TO_INT
