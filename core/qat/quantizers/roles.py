"""Documented path of the resolvers by role."""

from qat.quantizers.resolve.roles import PARAMETER_CLAMP as PARAMETER_CLAMP
from qat.quantizers.resolve.roles import PARAMETER_SCALING as PARAMETER_SCALING
from qat.quantizers.resolve.roles import RUNTIME_SCALING as RUNTIME_SCALING
from qat.quantizers.resolve.roles import SHARED_PARAMETER_SCALING as SHARED_PARAMETER_SCALING
from qat.quantizers.resolve.roles import ActResolver as ActResolver
from qat.quantizers.resolve.roles import BiasResolver as BiasResolver
from qat.quantizers.resolve.roles import ParameterResolver as ParameterResolver
from qat.quantizers.resolve.roles import RuntimeResolver as RuntimeResolver
from qat.quantizers.resolve.roles import WeightResolver as WeightResolver
