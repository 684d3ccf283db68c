"""Documented path of the resolver that all roles share."""

from qat.quantizers.resolve.resolvers import INT_SCALING as INT_SCALING
from qat.quantizers.resolve.resolvers import TENSOR_QUANT as TENSOR_QUANT
from qat.quantizers.resolve.resolvers import Resolver as Resolver
