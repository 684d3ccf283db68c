"""Complete quantizers, any of which can be a ``tensor_quant``."""

from qat.components.quant.binary import BinaryQuant as BinaryQuant
from qat.components.quant.binary import ClampedBinaryQuant as ClampedBinaryQuant
from qat.components.quant.decoupled import DecoupledIntQuant as DecoupledIntQuant
from qat.components.quant.decoupled import DecoupledRescalingIntQuant as DecoupledRescalingIntQuant
from qat.components.quant.decoupled import (
    DecoupledRescalingIntQuantWithInput as DecoupledRescalingIntQuantWithInput,
)
from qat.components.quant.dorefa import DoReFaQuant as DoReFaQuant
from qat.components.quant.estimated import EstimatedBinaryQuant as EstimatedBinaryQuant
from qat.components.quant.float import FloatQuant as FloatQuant
from qat.components.quant.groupwise import GroupwiseQuant as GroupwiseQuant
from qat.components.quant.int import IntQuant as IntQuant
from qat.components.quant.pact import PACTQuant as PACTQuant
from qat.components.quant.prescaled_int import (
    PrescaledRestrictIntQuant as PrescaledRestrictIntQuant,
)
from qat.components.quant.prescaled_int import (
    PrescaledRestrictIntQuantWithInputBitWidth as PrescaledRestrictIntQuantWithInputBitWidth,
)
from qat.components.quant.real_zero_point import RealZeroPointIntQuant as RealZeroPointIntQuant
from qat.components.quant.rescaling_int import RescalingIntQuant as RescalingIntQuant
from qat.components.quant.ternary import TernaryQuant as TernaryQuant
from qat.components.quant.trunc import TruncIntQuant as TruncIntQuant
from qat.components.quant.two_sided_ternary import TwoSidedTernaryQuant as TwoSidedTernaryQuant
