"""Quantized attention."""

from qat.nn.attention.multihead import QuantMultiheadAttention as QuantMultiheadAttention
from qat.nn.attention.scaled_dot_product import (
    QuantScaledDotProductAttention as QuantScaledDotProductAttention,
)
from qat.nn.attention.scaled_dot_product import (
    ScaledDotProductAttention as ScaledDotProductAttention,
)
