"""One direction of one recurrent layer, run over a sequence."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qat.nn.rnn.cells import State
from qat.nn.rnn.gates import GateBias, GateWeight
from qat.tensor import QuantTensor, unwrap


class Direction(nn.Module):
    """The gates' parameters, quantized once per sequence, and the cell that is run with them.

    Args:
        weights: [rows, input columns + hidden columns] of each gate, or of all gates together.
        biases: of the same rows; empty for none.
        cell: computes a step.
        hidden_columns: the columns of the weights that the hidden state is multiplied with.
        reverse: whether time runs from the last step to the first.
    """

    def __init__(
        self,
        weights: dict[str, GateWeight],
        biases: dict[str, GateBias],
        cell: nn.Module,
        hidden_columns: slice,
        reverse: bool,
    ) -> None:
        super().__init__()
        self.weights = nn.ModuleDict(weights)
        self.biases = nn.ModuleDict(biases)
        self.cell = cell
        self._hidden_columns = hidden_columns
        self._reverse = reverse

    def forward(
        self,
        x: Tensor | QuantTensor,
        start: Sequence[Tensor | QuantTensor | None],
        state_quants: Sequence[nn.Module],
    ) -> tuple[Tensor | QuantTensor, State]:
        """Run over ``x`` [T, N, input columns].

        Args:
            x: the input, with its grid where it is quantized.
            start: states [N, H] before the first step; None for zeros.
            state_quants: their quantizers.
        Returns:
            The hidden states [T, N, H], and the states after the last step. Where quantized, the
            first has the grid of the last step computed, or of each step where it is dynamic.
        """
        values = unwrap(x)
        columns = values.shape[-1]
        weights, bias = self._parameters_on_grid(x)
        hidden_weight = weights[:, self._hidden_columns]
        sums = F.linear(values, weights[:, :columns], bias).unbind(0)
        zeros = values.new_zeros(values.shape[1], hidden_weight.shape[1])
        state: State = tuple(
            zeros if tensor is None else quant(tensor)
            for tensor, quant in zip(start, state_quants, strict=True)
        )
        outputs: list[Tensor | QuantTensor] = []
        for of_input in reversed(sums) if self._reverse else sums:
            plain = tuple(unwrap(each) for each in state)
            state = self.cell(of_input + F.linear(plain[0], hidden_weight), plain, state_quants)
            outputs.append(state[0])
        in_time = outputs[::-1] if self._reverse else outputs
        return stack(in_time, state[0], state_quants[0]), state

    def _parameters_on_grid(self, x: Tensor | QuantTensor) -> tuple[Tensor, Tensor | None]:
        input_scale = x.scale if isinstance(x, QuantTensor) else None
        weights = {name: gate() for name, gate in self.weights.items()}
        weight = torch.cat([each.value for each in weights.values()])
        if not self.biases:
            return weight, None
        biases: list[Any] = [
            gate(input_scale, _weight_of(name, weights).scale) for name, gate in self.biases.items()
        ]
        return weight, torch.cat([each.value for each in biases])


def _weight_of(bias: str, weights: dict[str, QuantTensor]) -> QuantTensor:
    """The weight of a bias's gate, which may have a second one: ``new_hidden`` of ``new``."""
    return weights[bias if bias in weights else bias.partition("_")[0]]


def stack(
    states: Sequence[Tensor | QuantTensor], last: Tensor | QuantTensor, quant: Any
) -> Tensor | QuantTensor:
    """``states`` of one shape, quantized by ``quant``, along a new first dimension.

    They get the grid of ``last``; or, where each has its own and there are several, the grid of
    each, with one entry per element.
    """
    value = torch.stack([unwrap(each) for each in states])
    if not isinstance(last, QuantTensor) or len(states) == 1 or not quant.is_dynamic:
        return like(last, value)
    own = ["scale"] if last.float_format else ["scale", "zero_point"]  # minifloats have no z
    grids = {
        name: torch.stack([getattr(each, name).expand(each.shape) for each in states])
        for name in own
    }
    return last.set(value=value, **grids)


def like(example: Tensor | QuantTensor, value: Tensor) -> Tensor | QuantTensor:
    """``value`` with the grid of ``example``, where that has one."""
    return example.set(value=value) if isinstance(example, QuantTensor) else value
