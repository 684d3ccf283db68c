"""Base of the recurrent layers.

Their quantizers, and the run over layers, directions and time.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from qat.components.one_pass import one_pass
from qat.nn.base.checks import check_float_class
from qat.nn.base.make_proxy import Quantizer, with_prefix
from qat.nn.base.output_layer import returned
from qat.nn.base.shared_weights import needs_scale, rebuild_parameter_quantizers, require_scales
from qat.nn.rnn.cells import State
from qat.nn.rnn.declared import Declared
from qat.nn.rnn.direction import Direction, like, stack
from qat.nn.rnn.gates import GateBias, GateWeight
from qat.nn.rnn.parameters import RecurrentParameters
from qat.tensor import QuantTensor, unwrap

Given = Tensor | QuantTensor | None


class QuantRecurrent(RecurrentParameters):
    """Base of :class:`QuantRNN`, :class:`QuantLSTM` and :class:`QuantGRU`.

    One ``io_quant`` quantizes the input of the first layer and the hidden states of all layers and
    directions. A gate has one weight quantizer for its rows of ``weight_ih`` and ``weight_hh``, and
    one bias for the sum of its two.
    """

    float_class: type[nn.RNNBase]
    #: Arguments that are those of the float layer.
    constants: tuple[str, ...] = (
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    )

    def _declare(
        self, quantizers: dict[str, Quantizer], overrides: dict[str, Any], return_quant_tensor: bool
    ) -> Declared:
        kind = type(self).__name__
        declared = Declared(self, quantizers, overrides)
        sources = {f"{role}_quant": quantizers[role] for role in ("weight", "io")}
        bias_quant = quantizers["bias"] if self.bias else None
        require_scales(kind, "bias_quant", bias_quant, overrides, sources)
        states = {f"{role}_quant": quantizers.get(role, True) for role in ("io", "cell_state")}
        missing = [name for name, quant in states.items() if quant is None]
        if return_quant_tensor and missing:
            raise ValueError(
                f"{kind}: return_quant_tensor needs {' and '.join(missing)}, which is None; give a "
                f"quantizer, or return plain tensors."
            )
        self.return_quant_tensor = return_quant_tensor
        self.io_quant = declared.act("io")
        if self.io_quant.is_dynamic and needs_scale(bias_quant, with_prefix("bias_", overrides)):
            raise ValueError(
                f"{kind}: bias_quant takes its scale from the input, but with a dynamic io_quant "
                f"input and hidden state have one each, at every step; set bias_quant=None, or use "
                f"Int8BiasPerTensorFloatInternalScaling."
            )
        return declared

    def _build(self, declared: Declared, gates: Sequence[str], together: bool) -> None:
        """Make the directions; ``together``: one weight quantizer for all gates of each."""
        size = self.hidden_size
        rows = {gate: slice(i * size, (i + 1) * size) for i, gate in enumerate(gates)}
        if together:
            rows = {"all": slice(0, len(gates) * size)}
        directions: dict[str, Direction] = {}
        for layer in range(self.num_layers):
            shared: dict[str, GateWeight] = {}
            for index, suffix in enumerate(self.suffixes(layer)):
                names = self._weight_names(layer, suffix)
                columns = self._parameters[names[0]].shape[1]  # type: ignore[union-attr]
                place = columns + (size * index if self.shared_input_hidden_weights else 0)
                weights = shared or {g: GateWeight(declared, names, r) for g, r in rows.items()}
                if self.shared_input_hidden_weights:
                    shared = weights
                directions[suffix] = self._make_direction(
                    weights,
                    self._biases(declared, suffix, rows),
                    self._make_cell(declared),
                    slice(place, place + size),
                    reverse=index == 1,
                )
        self.layers = nn.ModuleDict(directions)
        example = next(iter(self._parameters.values()))
        assert example is not None
        for part in (self.io_quant, self.layers, *self._own_quantizers()):
            part.to(device=example.device, dtype=example.dtype)

    def _weight_names(self, layer: int, suffix: str) -> tuple[str, ...]:
        if not self.shared_input_hidden_weights:
            return f"weight_ih_{suffix}", f"weight_hh_{suffix}"
        return (f"weight_ih_l{layer}", *(f"weight_hh_{each}" for each in self.suffixes(layer)))

    def _biases(
        self, declared: Declared, suffix: str, rows: dict[str, slice]
    ) -> dict[str, GateBias]:
        if not self.bias:
            return {}
        names = f"bias_ih_{suffix}", f"bias_hh_{suffix}"
        return {gate: GateBias(declared, names, place) for gate, place in rows.items()}

    def _make_direction(self, *arguments: Any, **more: Any) -> Direction:
        return Direction(*arguments, **more)

    def _make_cell(self, declared: Declared) -> nn.Module:
        raise NotImplementedError(f"{type(self).__name__} does not define _make_cell()")

    def _own_quantizers(self) -> list[nn.Module]:
        """Quantizers of states beside ``io_quant`` that directions share."""
        return []

    def _state_quants(self, suffix: str) -> tuple[Any, ...]:
        """The quantizers of the states of a direction, hidden state first."""
        return (self.io_quant,)

    @classmethod
    def from_float(cls, layer: nn.Module, **arguments: Any) -> "QuantRecurrent":
        """The quantized layer in place of ``layer``: the same parameters, not copies.

        Args:
            layer: of the class that this one quantizes.
            arguments: quantizers and the further keyword arguments of the constructor.
        Raises:
            TypeError: ``layer`` is of another class.
        """
        check_float_class(cls.__name__, layer, cls.float_class)
        constants: dict[str, Any] = {name: getattr(layer, name) for name in cls.constants}
        example: Any = layer.weight_ih_l0
        made = cls(**constants, device=example.device, dtype=example.dtype, **arguments)
        made.adopt(layer)
        rebuild_parameter_quantizers(made)
        return made.train(layer.training)

    def _run(self, x: Any, initial: Sequence[Any]) -> tuple[Any, list[list[Any]]]:
        """Over all layers.

        Args:
            x: [T, N, input_size], [N, T, input_size] with ``batch_first``, or [T, input_size].
            initial: first states [layers * directions, N, H] (or [layers * directions, H]), or
                None for zeros.
        Returns:
            The hidden states of the last layer in the layout of ``x``, and the last states by kind,
            layer and direction, [N, H] (or [H]) each.
        """
        if not getattr(self.io_quant, "is_calibrating", False):
            return self._run_layers(x, initial)
        with one_pass():  # ranges have to hold the states of all steps
            return self._run_layers(x, initial)

    def _run_layers(self, x: Any, initial: Sequence[Any]) -> tuple[Any, list[list[Any]]]:
        is_batched = self._check(x, initial)
        batch_dim = 1
        if not is_batched:
            x = x.unsqueeze(batch_dim)
            initial = [None if each is None else each.unsqueeze(1) for each in initial]
        elif self.batch_first:
            x = x.transpose(0, 1)
        x = self.io_quant(x)
        finals: list[State] = []
        for layer in range(self.num_layers):
            if layer > 0 and self.dropout > 0.0:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for suffix in self.suffixes(layer):
                start = [None if each is None else each[len(finals)] for each in initial]
                output, final = self.layers[suffix](x, start, self._state_quants(suffix))
                outputs.append(output)
                finals.append(final)
            x = self._joined(outputs)
        if not is_batched:
            x = x.squeeze(batch_dim)
        elif self.batch_first:
            x = x.transpose(0, 1)
        by_kind = [list(states) for states in zip(*finals, strict=True)]
        if not is_batched:
            by_kind = [[state.squeeze(0) for state in states] for states in by_kind]
        return self._returned(x), by_kind

    def _returned(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        return returned(x, self.return_quant_tensor, self.training)

    def _joined(self, outputs: Sequence[Tensor | QuantTensor]) -> Tensor | QuantTensor:
        """The hidden states of the directions side by side, with the grid of the first."""
        if self.io_quant.is_dynamic:  # the grid of each
            return torch.cat(outputs, dim=-1)  # type: ignore[arg-type]
        return like(outputs[0], torch.cat([unwrap(each) for each in outputs], dim=-1))

    def _stacked(
        self, states: Sequence[Tensor | QuantTensor], quant: nn.Module
    ) -> Tensor | QuantTensor:
        """[layers * directions, ...], each state quantized by ``quant``."""
        return self._returned(stack(states, states[-1], quant))

    def _check(self, x: Any, initial: Sequence[Any]) -> bool:
        """Whether ``x`` has a batch dimension; refuses what does not fit."""
        kind = type(self).__name__
        if isinstance(x, PackedSequence):
            raise NotImplementedError(
                f"{kind} does not take a PackedSequence; pad it with "
                f"torch.nn.utils.rnn.pad_packed_sequence and mask what lies behind the ends."
            )
        if x.dim() not in (2, 3) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{kind}: the input has shape {tuple(x.shape)}; it must have 3 dimensions, or 2 "
                f"without a batch, the last of length input_size {self.input_size}."
            )
        is_batched = x.dim() == 3
        in_batches = is_batched and self.batch_first
        if x.shape[1 if in_batches else 0] == 0:
            raise ValueError(f"{kind}: the input has no time step, its shape is {tuple(x.shape)}.")
        batch = (x.shape[0 if self.batch_first else 1],) if is_batched else ()
        wanted = (len(self.layers), *batch, self.hidden_size)
        for state in initial:
            if state is not None and tuple(state.shape) != wanted:
                raise ValueError(
                    f"{kind}: an initial state has shape {tuple(state.shape)}; "
                    f"for this input it must be {wanted}."
                )
        return is_batched
