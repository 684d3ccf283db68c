"""Quantized recurrent layers."""

from .lstm import QuantLSTM as QuantLSTM
from .simple import QuantRNN as QuantRNN
