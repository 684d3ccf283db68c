"""Time steps of recurrent layers, from sums of gates to states.

A cell is called ``(sums, state, state_quants)``: ``sums`` [N, gates * H] are what the gates
accumulated, ``state`` the plain tensors [N, H] of the step before, hidden state first, and
``state_quants`` the quantizers of the new ones. It returns the new state, each with its grid where
it is quantized.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qat.enums import QuantType, choice
from qat.nn.rnn.declared import Declared
from qat.ops import IntGrid, int_fake_quantize
from qat.proxy import ActQuantProxyFromInjector
from qat.tensor import QuantTensor, unwrap

State = tuple[Tensor | QuantTensor, ...]
NONLINEARITIES: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


class QuantizerPerGate(nn.ModuleDict):
    """Quantizers of what the gates accumulate, each with its own scale."""

    def __init__(self, declared: Declared, gates: Sequence[str]) -> None:
        super().__init__({gate: declared.act("gate_acc") for gate in gates})

    def forward(self, sums: Tensor) -> dict[str, Tensor]:
        parts = sums.chunk(len(self), dim=-1)
        return {
            gate: unwrap(quant(part))
            for (gate, quant), part in zip(self.items(), parts, strict=True)
        }


class QuantizerOfAllGates(nn.Module):
    """One quantizer of what all gates accumulate."""

    def __init__(self, declared: Declared, gates: Sequence[str]) -> None:
        super().__init__()
        self.gates = tuple(gates)
        self.all = declared.act("gate_acc")

    def forward(self, sums: Tensor) -> dict[str, Tensor]:
        parts = unwrap(self.all(sums)).chunk(len(self.gates), dim=-1)
        return dict(zip(self.gates, parts, strict=True))


class RNNCell(nn.Module):
    """``h' = io_quant(f(gate_acc_quant(W x + U h + b)))``, with ``f`` tanh or ReLU in float."""

    gates = ("hidden",)

    def __init__(self, declared: Declared, nonlinearity: str) -> None:
        super().__init__()
        self.gate_acc_quant = QuantizerPerGate(declared, self.gates)
        self.nonlinearity = NONLINEARITIES[nonlinearity]()

    def forward(self, sums: Tensor, state: Any, state_quants: Any) -> State:
        (io_quant,) = state_quants
        return (io_quant(self.nonlinearity(self.gate_acc_quant(sums)["hidden"])),)


class LSTMCell(nn.Module):
    """A step of long short-term memory, each ``q`` a quantizer of its own.

    ``i, f, o = q_sigmoid(q_acc(...))``, ``g = q_tanh(q_acc(...))``,
    ``c' = q_cell(q_cell(f * c) + q_cell(i * g))``, ``h' = q_io(o * q_tanh(c'))``.

    Args:
        declared: the quantizers of the layer.
        shared_gate_acc: one quantizer for what all gates accumulate, in place of one for each.
    """

    gates: tuple[str, ...] = ("input", "forget", "cell", "output")

    def __init__(self, declared: Declared, shared_gate_acc: bool) -> None:
        super().__init__()
        accumulators = QuantizerOfAllGates if shared_gate_acc else QuantizerPerGate
        self.gate_acc_quant = accumulators(declared, self.gates)
        self.input_sigmoid_quant = declared.act("sigmoid", nn.Sigmoid())
        self._set_forget_gate(declared)
        self.cell_tanh_quant = declared.act("tanh", nn.Tanh())
        self.output_sigmoid_quant = declared.act("sigmoid", nn.Sigmoid())
        self.hidden_state_tanh_quant = declared.act("tanh", nn.Tanh())

    def _set_forget_gate(self, declared: Declared) -> None:
        self.forget_sigmoid_quant = declared.act("sigmoid", nn.Sigmoid())

    def forget_gate(self, gates: dict[str, Tensor], input_gate: Tensor | QuantTensor) -> Tensor:
        """Part of the cell state that stays, [N, H] in 0..1."""
        return unwrap(self.forget_sigmoid_quant(gates["forget"]))

    def forward(self, sums: Tensor, state: Any, state_quants: Any) -> State:
        io_quant, cell_quant = state_quants
        gates = self.gate_acc_quant(sums)
        input_gate = self.input_sigmoid_quant(gates["input"])
        forget_gate = self.forget_gate(gates, input_gate)
        candidate = unwrap(self.cell_tanh_quant(gates["cell"]))
        output_gate = unwrap(self.output_sigmoid_quant(gates["output"]))
        kept = unwrap(cell_quant(forget_gate * state[1]))
        added = unwrap(cell_quant(unwrap(input_gate) * candidate))
        cell = cell_quant(kept + added)
        hidden = io_quant(output_gate * unwrap(self.hidden_state_tanh_quant(unwrap(cell))))
        return hidden, cell


class CoupledLSTMCell(LSTMCell):
    """:class:`LSTMCell` whose forget gate is ``f = 1 - i``, without parameters of its own.

    1 is brought to the grid of ``i`` first, so that ``f`` lies on it: with a largest value of 0.9
    on that grid, ``f = 0.9 - i``.
    """

    gates = ("input", "cell", "output")

    def _set_forget_gate(self, declared: Declared) -> None:
        quant = self.input_sigmoid_quant
        self._narrow_range = bool(_attribute(quant, "narrow_range", False))
        quant_type = choice(QuantType, _attribute(quant, "quant_type", QuantType.INT), "quant_type")
        if quant_type is not QuantType.INT:
            raise NotImplementedError(
                f"{type(declared.layer).__name__}: coupled_input_forget_gates with a sigmoid_quant "
                f"of quant_type {quant_type.value!r}; use an integer quantizer or None."
            )

    def forget_gate(self, gates: dict[str, Tensor], input_gate: Tensor | QuantTensor) -> Tensor:
        if not isinstance(input_gate, QuantTensor) or input_gate.missing:
            return 1.0 - unwrap(input_gate)
        signed, scale = bool(input_gate.signed), input_gate.scale
        zero_point, bit_width = input_gate.zero_point, input_gate.bit_width
        grid = IntGrid(zero_point, bit_width, signed, self._narrow_range)
        one = int_fake_quantize(torch.ones_like(scale), scale, grid, True)
        return one - input_gate.value


def _attribute(quant: ActQuantProxyFromInjector, name: str, default: Any) -> Any:
    injector = quant.injector
    return getattr(injector, name) if injector is not None and name in injector else default
