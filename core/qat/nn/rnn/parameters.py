"""Parameters of a recurrent layer, under torch's names."""

import math
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

#: Parameters of one direction of one layer, in torch's order.
_KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class RecurrentParameters(nn.Module):
    """``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, ``..._reverse``, ``l1``.

    Drawn as torch draws them, uniform within ``1 / sqrt(hidden_size)``, and loaded from its state
    dicts. ``weight_ih`` of the backward direction is absent with ``shared_input_hidden_weights``.

    Args:
        gates: number of gates that have parameters.
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size:
            as for torch's layers.
        shared_input_hidden_weights: both directions of a layer use one ``weight_ih``.
    Raises:
        ValueError: a size below 1, or a dropout outside 0..1; shared weights of one direction.
        NotImplementedError: ``proj_size`` above 0.
    """

    def __init__(
        self,
        gates: int,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        shared_input_hidden_weights: bool,
        device: Any,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        kind = type(self).__name__
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{kind}: {name} is {size}; it must be at least 1.")
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"{kind}: dropout is {dropout}, a probability from 0 to 1.")
        if proj_size:
            raise NotImplementedError(
                f"{kind}: proj_size is {proj_size}, but projected hidden states cannot be "
                f"quantized yet; use proj_size=0 and a QuantLinear behind the layer."
            )
        if shared_input_hidden_weights and not bidirectional:
            raise ValueError(
                f"{kind}: shared_input_hidden_weights shares between two directions; set "
                f"bidirectional=True."
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{kind}: dropout is applied between layers, and num_layers is 1: it has no "
                f"effect; set dropout=0.",
                stacklevel=4,
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.shared_input_hidden_weights = shared_input_hidden_weights
        self._rows = gates * hidden_size
        for name, shape in self._shapes():
            self.register_parameter(
                name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew, as torch does."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self._parameters.values():
            nn.init.uniform_(parameter, -bound, bound)  # type: ignore[arg-type]

    def suffixes(self, layer: int) -> list[str]:
        """Ends of the names of a layer's parameters, one per direction."""
        return [f"l{layer}", f"l{layer}_reverse"] if self.bidirectional else [f"l{layer}"]

    def float_rows(self, parameter: Tensor) -> Tensor:
        """The rows of a parameter of torch's layer that this layer uses."""
        return parameter

    def adopt(self, layer: nn.Module) -> None:
        """Use the parameters of a float layer, not copies, as far as their rows are the same.

        Raises:
            ValueError: input weights that are to be shared differ.
        """
        given = dict(layer.named_parameters())
        for forward, backward in self._shared_names():
            if not torch.equal(given[forward], given[backward]):
                raise ValueError(f"{type(self).__name__}: {_differ(forward, backward)}")
        for name in list(self._parameters):
            rows = self.float_rows(given[name])
            same = rows is given[name]
            setattr(self, name, given[name] if same else nn.Parameter(rows.detach().clone()))

    def extra_repr(self) -> str:
        options = {
            "num_layers": (self.num_layers, 1),
            "bias": (self.bias, True),
            "batch_first": (self.batch_first, False),
            "dropout": (self.dropout, 0.0),
            "bidirectional": (self.bidirectional, False),
        }
        shown = [f"{name}={now}" for name, (now, usual) in options.items() if now != usual]
        return ", ".join([str(self.input_size), str(self.hidden_size), *shown])

    def _shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        kinds = _KINDS if self.bias else _KINDS[:2]
        shared = [backward for _, backward in self._shared_names()]
        for layer in range(self.num_layers):
            directions = len(self.suffixes(layer))
            columns = self.input_size if layer == 0 else self.hidden_size * directions
            columns_of = {"weight_ih": (columns,), "weight_hh": (self.hidden_size,)}
            for suffix in self.suffixes(layer):
                for kind in kinds:
                    name = f"{kind}_{suffix}"
                    if name not in shared:
                        yield name, (self._rows, *columns_of.get(kind, ()))

    def _shared_names(self) -> list[tuple[str, str]]:
        if not self.shared_input_hidden_weights:
            return []
        layers = [f"weight_ih_l{layer}" for layer in range(self.num_layers)]
        return [(name, f"{name}_reverse") for name in layers]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        error_messages = others[-1]
        for forward, backward in self._shared_names():
            second = state_dict.pop(prefix + backward, None)
            first = state_dict.get(prefix + forward)
            if first is not None and second is not None and not torch.equal(first, second):
                error_messages.append(_differ(forward, backward))
        for name in self._parameters:
            given = state_dict.get(prefix + name)
            if isinstance(given, Tensor):
                state_dict[prefix + name] = self.float_rows(given)
        super()._load_from_state_dict(state_dict, prefix, *others)


def _differ(forward: str, backward: str) -> str:
    return (
        f"{forward} and {backward} differ, but shared_input_hidden_weights uses one in their "
        f"place; set it to False to load both."
    )
