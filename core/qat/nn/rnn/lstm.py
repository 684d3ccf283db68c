"""Long short-term memory, quantized."""

from typing import Any

import torch
from torch import Tensor, nn

from qat.nn.base.make_proxy import Quantizer
from qat.nn.rnn.cells import CoupledLSTMCell, LSTMCell
from qat.nn.rnn.declared import Declared
from qat.nn.rnn.recurrent import QuantRecurrent
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    Uint8ActPerTensorFloat,
)


class QuantLSTM(QuantRecurrent):
    """``torch.nn.LSTM`` with quantizers, whose step is that of :class:`qat.nn.rnn.cells.LSTMCell`.

    Takes torch's arguments first, and its state dicts; then:

    Args:
        weight_quant: quantizer of a gate's rows of ``weight_ih`` and ``weight_hh``, which share it;
            8 bit unless given, or None.
        bias_quant: of the sum of a gate's biases; 32 bit in the scale of the accumulator unless
            given.
        io_quant: of the input and the hidden states of all layers; 8 bit unless given.
        gate_acc_quant: of what a gate accumulates; 8 bit unless given.
        sigmoid_quant: of the input, forget and output gates; 8 bit unsigned unless given.
        tanh_quant: of the candidate and of ``tanh(c)``; 8 bit unless given.
        cell_state_quant: of the cell state and of both its terms; 8 bit unless given.
        coupled_input_forget_gates: the forget gate is ``1 - i``; the parameters have the rows of
            three gates, and of those of a float layer the forget gate's are left out.
        cat_output_cell_states: give the cell states as one tensor, not as a list [1, N, H] each.
        shared_input_hidden_weights: both directions of a layer use one ``weight_ih``.
        shared_intra_layer_weight_quant: one weight and one bias quantizer for all gates of a
            direction.
        shared_intra_layer_gate_acc_quant: one quantizer for what all gates of a direction
            accumulate.
        shared_cell_state_quant: one ``cell_state_quant`` for all layers and directions.
        return_quant_tensor: give output and states as ``QuantTensor``; with the scale of the last
            step while statistics are collected, when each step has its own.
        weight_*, bias_*, io_*, gate_acc_*, sigmoid_*, tanh_*, cell_state_*: attributes that replace
            those of that quantizer.
    Raises:
        TypeError, ValueError: an argument that does not exist or does not fit.
        NotImplementedError: ``proj_size``, a proxy for weight or bias, or coupled gates with a
            ``sigmoid_quant`` that is not of integers.
    """

    float_class = nn.LSTM

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
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
        sigmoid_quant: Quantizer = Uint8ActPerTensorFloat,
        tanh_quant: Quantizer = Int8ActPerTensorFloat,
        cell_state_quant: Quantizer = Int8ActPerTensorFloat,
        coupled_input_forget_gates: bool = False,
        cat_output_cell_states: bool = True,
        shared_input_hidden_weights: bool = False,
        shared_intra_layer_weight_quant: bool = False,
        shared_intra_layer_gate_acc_quant: bool = False,
        shared_cell_state_quant: bool = True,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        cell_class = CoupledLSTMCell if coupled_input_forget_gates else LSTMCell
        super().__init__(
            len(cell_class.gates),
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
        own_grids = cell_state_quant is not None and not shared_cell_state_quant
        if return_quant_tensor and cat_output_cell_states and own_grids:
            raise ValueError(
                "QuantLSTM: cell states with grids of their own, shared_cell_state_quant=False, do "
                "not make one QuantTensor; set cat_output_cell_states=False."
            )
        self._cell_class = cell_class
        self.coupled_input_forget_gates = coupled_input_forget_gates
        self.cat_output_cell_states = cat_output_cell_states
        self._shared_gate_acc_quant = shared_intra_layer_gate_acc_quant
        self.shared_cell_state_quant = shared_cell_state_quant
        quantizers = {
            "weight": weight_quant,
            "bias": bias_quant,
            "io": io_quant,
            "gate_acc": gate_acc_quant,
            "sigmoid": sigmoid_quant,
            "tanh": tanh_quant,
            "cell_state": cell_state_quant,
        }
        declared = self._declare(quantizers, kwargs, return_quant_tensor)
        self.cell_state_quant = self._cell_state_quants(declared)
        self._build(declared, cell_class.gates, together=shared_intra_layer_weight_quant)

    def _make_cell(self, declared: Declared) -> LSTMCell:
        return self._cell_class(declared, self._shared_gate_acc_quant)

    def _cell_state_quants(self, declared: Declared) -> nn.Module:
        if self.shared_cell_state_quant:
            return declared.act("cell_state")
        suffixes = [each for layer in range(self.num_layers) for each in self.suffixes(layer)]
        return nn.ModuleDict({suffix: declared.act("cell_state") for suffix in suffixes})

    def _own_quantizers(self) -> list[nn.Module]:
        return [self.cell_state_quant]

    def _state_quants(self, suffix: str) -> tuple[Any, ...]:
        own: Any = self.cell_state_quant
        return self.io_quant, own if self.shared_cell_state_quant else own[suffix]

    def float_rows(self, parameter: Tensor) -> Tensor:
        """Without the forget gate's rows, where the gates are coupled and it has them."""
        size = self.hidden_size
        if not self.coupled_input_forget_gates or parameter.shape[0] != len(LSTMCell.gates) * size:
            return parameter
        return torch.cat([parameter[:size], parameter[2 * size :]])

    def forward(self, x: Any, hx: Any = None, cx: Any = None) -> tuple[Any, tuple[Any, Any]]:
        """Run over a sequence.

        Args:
            x: [T, N, input_size], [N, T, input_size] with ``batch_first``, or [T, input_size].
            hx: hidden states before the first step, [layers * directions, N, H], zeros unless
                given; or the tuple of hidden and cell states, as for torch's layer.
            cx: cell states likewise; the list of them that this gives without
                ``cat_output_cell_states`` is taken too.
        Returns:
            The hidden states of the last layer, [T, N, directions * H] in the layout of ``x``, and
            hidden and cell states of all layers after their last step, in the shape of ``hx``.
        Raises:
            ValueError: a shape that does not fit.
            NotImplementedError: a ``PackedSequence``.
        """
        if isinstance(hx, tuple):
            if cx is not None:
                raise ValueError("QuantLSTM: hx is a tuple of both states, and cx is given too.")
            hx, cx = hx
        if isinstance(cx, list):
            cx = torch.cat(cx)
        out, (hidden, cell) = self._run(x, [hx, cx])
        of_cell, last = self.cell_state_quant, self._stacked(hidden, self.io_quant)
        if self.cat_output_cell_states:
            return out, (last, self._stacked(cell, of_cell))
        return out, (last, [self._stacked([each], of_cell) for each in cell])
