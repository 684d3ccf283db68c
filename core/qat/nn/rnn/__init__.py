"""Quantized recurrent layers."""

from qat.nn.rnn.gru import QuantGRU as QuantGRU
from qat.nn.rnn.lstm import QuantLSTM as QuantLSTM
from qat.nn.rnn.simple import QuantRNN as QuantRNN
