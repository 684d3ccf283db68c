"""Recurrent layers in a model: their quantizers and their report.

The rules speak of them by the words of any layer with a weight. ``weight`` and ``bias`` are those
of all gates; ``input`` is for what arrives, the states, and everything between the gates.
"""

from collections.abc import Sequence
from typing import Any

from torch import fx, nn

from qat.enums import Site
from qat.graph.build import built_or_named, named_injector
from qat.graph.layers import RECURRENT, RECURRENT_SITES, recurrent_class
from qat.graph.report import LayerReport, describe
from qat.graph.rules import Decision
from qat.nn.rnn.gates import GateWeight

#: Quantizers between the gates, by their roles; those of sigmoids are unsigned.
_INNER = {
    nn.LSTM: ("gate_acc", "sigmoid", "tanh", "cell_state"),
    nn.GRU: ("gate_acc", "sigmoid", "tanh"),
    nn.RNN: ("gate_acc",),
}


def why_in_float(layer: nn.Module, nodes: Sequence[fx.Node]) -> str | None:
    """Why a recurrent layer cannot be quantized as it is called; None: it can."""
    if getattr(layer, "proj_size", 0):
        return "projected hidden states cannot be quantized"
    if any(getattr(node.args[0], "meta", {}).get("tensor_meta") is None for node in nodes):
        return "packed sequences cannot be quantized"
    if any(not hasattr(node.args[0].meta["tensor_meta"], "shape") for node in nodes):  # type: ignore[union-attr]
        return "packed sequences cannot be quantized"
    return None


def build_recurrent(name: str, layer: nn.Module, decision: Decision) -> nn.Module | None:
    """The quantized layer in place of ``layer``, with the same parameters.

    Returns:
        None where the rules choose no quantizer for it.
    """
    kind: Any = recurrent_class(layer)
    choices = {site: decision.choice(site) for site in RECURRENT_SITES}
    if choices[Site.WEIGHT] is None and choices[Site.INPUT] is None:
        return None
    injectors = {
        site: None if choice is None else named_injector(name, site, choice)
        for site, choice in choices.items()
    }
    of_values: Any = injectors[Site.INPUT]
    quantizers: dict[str, Any] = {
        "weight_quant": injectors[Site.WEIGHT],
        "bias_quant": injectors[Site.BIAS],
        "io_quant": of_values,
    }
    for role in _INNER[kind]:
        quant = of_values
        if role == "sigmoid" and quant is not None and quant.signed is True:
            quant = quant.let(signed=False)
        quantizers[f"{role}_quant"] = quant
    built: nn.Module = built_or_named(name, lambda: RECURRENT[kind].from_float(layer, **quantizers))
    return built


def recurrent_row(name: str, built: Any) -> LayerReport:
    """The row of a quantized recurrent layer."""
    weights = [part for part in built.modules() if isinstance(part, GateWeight)]
    weight = (
        describe(weights[0].weight_quant) if weights[0].weight_quant.is_quant_enabled else "float"
    )
    shown = describe(built.io_quant)
    note = "" if shown == "float" else "states and gates as the input"
    return LayerReport(name, type(built).__name__, weight, shown, "-", note)
