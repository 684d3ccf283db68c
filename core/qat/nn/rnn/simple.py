"""The simple recurrent layer, quantized."""

from typing import Any

import torch
from torch import nn

from qat.nn.base.make_proxy import Quantizer
from qat.nn.rnn.cells import NONLINEARITIES, RNNCell
from qat.nn.rnn.declared import Declared
from qat.nn.rnn.recurrent import Given, QuantRecurrent
from qat.quantizers import Int8ActPerTensorFloat, Int8WeightPerTensorFloat, Int32Bias


class QuantRNN(QuantRecurrent):
    """``torch.nn.RNN`` with quantizers: ``h' = q_io(f(q_acc(W x + U h + b)))``.

    Takes torch's arguments first, and its state dicts; then:

    Args:
        weight_quant: quantizer of the rows of a layer's ``weight_ih`` and ``weight_hh``, which
            share it; 8 bit unless given, or None.
        bias_quant: of the sum of its biases; 32 bit in the scale of the accumulator unless given.
        io_quant: of the input and the hidden states of all layers; 8 bit unless given.
        gate_acc_quant: of ``W x + U h + b``; 8 bit unless given.
        shared_input_hidden_weights: both directions of a layer use one ``weight_ih``.
        return_quant_tensor: give output and states as ``QuantTensor``; with the scale of the last
            step while statistics are collected, when each step has its own.
        weight_*, bias_*, io_*, gate_acc_*: attributes that replace those of that quantizer.
    Raises:
        TypeError, ValueError: an argument that does not exist or does not fit.
        NotImplementedError: ``proj_size``, or a proxy for weight or bias.
    """

    float_class = nn.RNN
    constants = ("nonlinearity", *QuantRecurrent.constants)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        weight_quant: Quantizer = Int8WeightPerTensorFloat,
        bias_quant: Quantizer = Int32Bias,
        io_quant: Quantizer = Int8ActPerTensorFloat,
        gate_acc_quant: Quantizer = Int8ActPerTensorFloat,
        shared_input_hidden_weights: bool = False,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        if nonlinearity not in NONLINEARITIES:
            known = " or ".join(map(repr, NONLINEARITIES))
            raise ValueError(f"QuantRNN: nonlinearity is {nonlinearity!r}; choose {known}.")
        super().__init__(
            len(RNNCell.gates),
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            shared_input_hidden_weights,
            device,
            dtype,
        )
        self.nonlinearity = nonlinearity
        quantizers = {
            "weight": weight_quant,
            "bias": bias_quant,
            "io": io_quant,
            "gate_acc": gate_acc_quant,
        }
        declared = self._declare(quantizers, kwargs, return_quant_tensor)
        self._build(declared, RNNCell.gates, together=False)

    def _make_cell(self, declared: Declared) -> RNNCell:
        return RNNCell(declared, self.nonlinearity)

    def forward(self, x: Any, hx: Given = None) -> tuple[Any, Any]:
        """Run over a sequence.

        Args:
            x: [T, N, input_size], [N, T, input_size] with ``batch_first``, or [T, input_size].
            hx: hidden states before the first step, [layers * directions, N, H]; zeros unless
                given.
        Returns:
            The hidden states of the last layer, [T, N, directions * H] in the layout of ``x``, and
            those of all layers after their last step, in the shape of ``hx``.
        Raises:
            ValueError: a shape that does not fit.
            NotImplementedError: a ``PackedSequence``.
        """
        out, (hidden,) = self._run(x, [hx])
        return out, self._stacked(hidden, self.io_quant)
