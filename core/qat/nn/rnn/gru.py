"""The gated recurrent unit, quantized."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qat.nn.base.make_proxy import Quantizer
from qat.nn.rnn.cells import QuantizerPerGate, State
from qat.nn.rnn.declared import Declared
from qat.nn.rnn.direction import Direction, stack
from qat.nn.rnn.gates import GateBias
from qat.nn.rnn.recurrent import Given, QuantRecurrent
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    Uint8ActPerTensorFloat,
)
from qat.tensor import QuantTensor, unwrap

#: Not "update": a ModuleDict has a method of that name.
_GATES = ("reset", "renew", "new")
#: Bias of what the reset gate lets through; those of the other gates are sums of two.
_OF_HIDDEN = "new_hidden"


class GRUCell(nn.Module):
    """A step of the gated recurrent unit, each ``q`` a quantizer of its own.

    ``r, z = q_sigmoid(q_acc(W x + U h + b))``, ``n = q_tanh(q_acc(W x + b + r * (U h + b')))``,
    ``h' = q_io((1 - z) * n + z * h)``.
    """

    gates = _GATES

    def __init__(self, declared: Declared) -> None:
        super().__init__()
        self.gate_acc_quant = QuantizerPerGate(declared, self.gates)
        self.reset_sigmoid_quant = declared.act("sigmoid", nn.Sigmoid())
        self.update_sigmoid_quant = declared.act("sigmoid", nn.Sigmoid())
        self.new_tanh_quant = declared.act("tanh", nn.Tanh())

    def forward(self, of_input: Tensor, of_hidden: Tensor, state: Any, state_quants: Any) -> State:
        """``of_input``, ``of_hidden``: [N, 3 H], what the gates get from each."""
        (io_quant,) = state_quants
        x_reset, x_update, x_new = of_input.chunk(3, dim=-1)
        h_reset, h_update, h_new = of_hidden.chunk(3, dim=-1)
        accumulators: Any = self.gate_acc_quant
        reset = self.reset_sigmoid_quant(unwrap(accumulators["reset"](x_reset + h_reset)))
        update = unwrap(
            self.update_sigmoid_quant(unwrap(accumulators["renew"](x_update + h_update)))
        )
        new = unwrap(
            self.new_tanh_quant(unwrap(accumulators["new"](x_new + unwrap(reset) * h_new)))
        )
        return (io_quant((1.0 - update) * new + update * state[0]),)


class _GRUDirection(Direction):
    """A direction whose cell gets the sums over input and hidden state apart."""

    def forward(
        self,
        x: Tensor | QuantTensor,
        start: Sequence[Tensor | QuantTensor | None],
        state_quants: Sequence[nn.Module],
    ) -> tuple[Tensor | QuantTensor, State]:
        values = unwrap(x)
        columns = values.shape[-1]
        weights, bias = self._parameters_on_grid(x)
        size = weights.shape[0] // len(_GATES)
        bias, of_hidden_bias = (None, None) if bias is None else _apart(bias, size)
        hidden_weight = weights[:, self._hidden_columns]
        sums = F.linear(values, weights[:, :columns], bias).unbind(0)
        state: State = tuple(
            values.new_zeros(values.shape[1], size) if tensor is None else quant(tensor)
            for tensor, quant in zip(start, state_quants, strict=True)
        )
        outputs: list[Tensor | QuantTensor] = []
        for of_input in reversed(sums) if self._reverse else sums:
            plain = tuple(unwrap(each) for each in state)
            of_hidden = F.linear(plain[0], hidden_weight, of_hidden_bias)
            state = self.cell(of_input, of_hidden, plain, state_quants)
            outputs.append(state[0])
        in_time = outputs[::-1] if self._reverse else outputs
        return stack(in_time, state[0], state_quants[0]), state


def _apart(bias: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """[4 H], that of the hidden state last, as [3 H] for either sum."""
    own, of_new = bias[: 3 * size], bias[3 * size :]
    return own, torch.cat([of_new.new_zeros(2 * size), of_new])


class QuantGRU(QuantRecurrent):
    """``torch.nn.GRU`` with quantizers, whose step is that of :class:`qat.nn.rnn.gru.GRUCell`.

    Takes torch's arguments first, and its state dicts; then:

    Args:
        weight_quant: quantizer of a gate's rows of ``weight_ih`` and ``weight_hh``, which share it;
            8 bit unless given, or None.
        bias_quant: of a gate's bias; 32 bit in the scale of the accumulator unless given.
        io_quant: of the input and the hidden states of all layers; 8 bit unless given.
        gate_acc_quant: of what a gate accumulates; 8 bit unless given.
        sigmoid_quant: of the reset and update gates; 8 bit unsigned unless given.
        tanh_quant: of the candidate; 8 bit unless given.
        return_quant_tensor: give output and state as ``QuantTensor``; with the scale of the last
            step while statistics are collected, when each step has its own.
        weight_*, bias_*, io_*, gate_acc_*, sigmoid_*, tanh_*: attributes that replace those of that
            quantizer.
    Raises:
        TypeError, ValueError: an argument that does not exist or does not fit.
        NotImplementedError: a proxy for weight or bias.
    """

    float_class = nn.GRU
    constants = tuple(name for name in QuantRecurrent.constants if name != "proj_size")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        weight_quant: Quantizer = Int8WeightPerTensorFloat,
        bias_quant: Quantizer = Int32Bias,
        io_quant: Quantizer = Int8ActPerTensorFloat,
        gate_acc_quant: Quantizer = Int8ActPerTensorFloat,
        sigmoid_quant: Quantizer = Uint8ActPerTensorFloat,
        tanh_quant: Quantizer = Int8ActPerTensorFloat,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            len(_GATES),
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            False,
            device,
            dtype,
        )
        quantizers = {
            "weight": weight_quant,
            "bias": bias_quant,
            "io": io_quant,
            "gate_acc": gate_acc_quant,
            "sigmoid": sigmoid_quant,
            "tanh": tanh_quant,
        }
        declared = self._declare(quantizers, kwargs, return_quant_tensor)
        self._build(declared, _GATES, together=False)

    def _make_direction(self, *arguments: Any, **more: Any) -> Direction:
        return _GRUDirection(*arguments, **more)

    def _biases(
        self, declared: Declared, suffix: str, rows: dict[str, slice]
    ) -> dict[str, GateBias]:
        if not self.bias:
            return {}
        of_input, of_hidden = f"bias_ih_{suffix}", f"bias_hh_{suffix}"
        both = {gate: GateBias(declared, (of_input, of_hidden), rows[gate]) for gate in _GATES[:2]}
        new = rows[_GATES[2]]
        return {
            **both,
            _GATES[2]: GateBias(declared, (of_input,), new),
            _OF_HIDDEN: GateBias(declared, (of_hidden,), new),
        }

    def _make_cell(self, declared: Declared) -> GRUCell:
        return GRUCell(declared)

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
