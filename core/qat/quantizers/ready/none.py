"""Named placeholders for 'no quantizer'.

A layer given one behaves as with None; attributes may turn it into a quantizer
(``weight_quant_type="int"`` and what else that needs).
"""

from qat.enums import QuantType
from qat.quantizers.resolve.accumulators import ClampResolver, TruncResolver
from qat.quantizers.resolve.roles import ActResolver, BiasResolver, WeightResolver


class NoneWeightQuant(WeightResolver):
    """The weight as it is: not quantized."""

    quant_type = QuantType.FP


class NoneActQuant(ActResolver):
    """The activation as it is: not quantized."""

    quant_type = QuantType.FP


class NoneBiasQuant(BiasResolver):
    """The bias as it is: not quantized."""

    quant_type = QuantType.FP


class NoneTruncQuant(TruncResolver):
    """The accumulator as it is: not truncated, it keeps its low bits."""

    quant_type = QuantType.FP


class NoneClampQuant(ClampResolver):
    """The accumulator as it is: not clamped, it keeps its high bits."""

    quant_type = QuantType.FP
