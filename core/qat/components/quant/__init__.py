"""Complete quantizers: what a ``tensor_quant`` is."""

from .binary import BinaryQuant as BinaryQuant
from .binary import ClampedBinaryQuant as ClampedBinaryQuant
from .decoupled import DecoupledIntQuant as DecoupledIntQuant
from .decoupled import DecoupledRescalingIntQuant as DecoupledRescalingIntQuant
from .decoupled import DecoupledRescalingIntQuantWithInput as DecoupledRescalingIntQuantWithInput
from .dorefa import DoReFaQuant as DoReFaQuant
from .estimated import EstimatedBinaryQuant as EstimatedBinaryQuant
from .float import FloatQuant as FloatQuant
from .groupwise import GroupwiseQuant as GroupwiseQuant
from .int import IntQuant as IntQuant
from .pact import PACTQuant as PACTQuant
from .prescaled_int import PrescaledRestrictIntQuant as PrescaledRestrictIntQuant
from .prescaled_int import (
    PrescaledRestrictIntQuantWithInputBitWidth as PrescaledRestrictIntQuantWithInputBitWidth,
)
from .real_zero_point import RealZeroPointIntQuant as RealZeroPointIntQuant
from .rescaling_int import RescalingIntQuant as RescalingIntQuant
from .ternary import TernaryQuant as TernaryQuant
from .trunc import TruncIntQuant as TruncIntQuant
from .two_sided_ternary import TwoSidedTernaryQuant as TwoSidedTernaryQuant
