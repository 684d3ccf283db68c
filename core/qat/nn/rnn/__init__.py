"""Quantized recurrent layers."""

from qat.nn.rnn.lstm import QuantLSTM as QuantLSTM
from qat.nn.rnn.simple import QuantRNN as QuantRNN
