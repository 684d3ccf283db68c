"""Models that are a single layer.

A tracer goes into the module it is given, never past it, so that a layer alone is no part of
anything. It is converted as the one part of a holder, and taken out again: what comes out has the
names of the layer, without any in front.
"""

import inspect
import operator
from dataclasses import replace
from typing import Any

from torch import fx, nn

from qat.graph.report import Quantized
from qat.graph.tracing.trace import is_torchs_own


def is_single_layer(model: nn.Module) -> bool:
    """Whether ``model`` is one of torch's own layers, of one input, with no layer inside."""
    if not is_torchs_own(model) or any(True for _ in model.children()):
        return False
    empty = inspect.Parameter.empty
    inputs = inspect.signature(model.forward).parameters.values()
    return sum(each.default is empty for each in inputs) == 1


class Holder(nn.Module):
    """Calls the one part it has, which is called by the name of its class."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.name = type(layer).__name__.lower()
        self.add_module(self.name, layer)
        self.training = layer.training

    def forward(self, input: Any) -> Any:
        return self._modules[self.name](input)  # type: ignore[misc]


def taken_out(converted: Quantized) -> Quantized:
    """The one part of a converted :class:`Holder`, where that is all that the holder became."""
    model = converted.model
    parts = dict(model.named_children())
    if isinstance(model, fx.GraphModule):
        calls = [node for node in model.graph.nodes if node.op not in ("placeholder", "output")]
        calls = [node for node in calls if node.target is not operator.getitem]  # (output, state)
        if [node.op for node in calls] != ["call_module"] or len(parts) != 1:
            return converted
    elif len(parts) != 1:
        return converted
    (part,) = parts.values()
    return replace(converted, model=part)
