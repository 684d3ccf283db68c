"""Multi-head attention in a model: its quantizers and its report.

The rules speak of it by the words of any layer with a weight. ``weight`` and ``bias`` are those of
all its projections; ``input`` is for every operand of a matrix product that is no weight: what
arrives, queries, keys and values, attention weights, and what the last projection gets; ``output``
is for what that one gives. The softmax stays in float.
"""

from typing import Any

from torch import nn

from qat.enums import Site
from qat.graph.build import built_or_named, check_effect, named_injector
from qat.graph.report import LayerReport, describe, weight_row
from qat.graph.rules import Decision, QuantizerChoice
from qat.graph.sites import ATTENTION_SITES
from qat.nn import QuantMultiheadAttention
from qat.nn.attention.scaled_dot_product import ATTENTION_QUANTIZERS

#: Operands of the two products in the middle; the scores in front of the softmax are none.
OPERANDS = tuple(part for part in ATTENTION_QUANTIZERS if part != "softmax_input")
_NEVER_NEGATIVE = "attn_output_weights"


def build_attention(
    name: str, layer: nn.MultiheadAttention, decision: Decision, input_on_grid: bool
) -> QuantMultiheadAttention | None:
    """The quantized layer in place of ``layer``, with the same parameters.

    Returns:
        None where the rules choose no quantizer for it.
    """
    choices = {site: decision.choice(site) for site in ATTENTION_SITES}
    if layer.in_proj_bias is None:
        choices[Site.BIAS] = None
    if all(choice is None for choice in choices.values()):
        return None
    injectors = {
        site: None if choice is None else named_injector(name, site, choice)
        for site, choice in choices.items()
    }
    quantizers: dict[str, Any] = {
        f"{part}_{site}_quant": injectors[site]
        for part in ("in_proj", "out_proj")
        for site in (Site.INPUT, Site.WEIGHT, Site.BIAS)
    }
    quantizers["out_proj_output_quant"] = injectors[Site.OUTPUT]
    for part in OPERANDS:
        quantizers[f"{part}_quant"] = _of_operand(part, injectors[Site.INPUT], choices[Site.INPUT])
    if input_on_grid:
        quantizers["in_proj_input_quant"] = None
    built: QuantMultiheadAttention = built_or_named(
        name, lambda: QuantMultiheadAttention.from_float(layer, **quantizers)
    )
    for linear in _projections(built).values():
        for site, proxy in linear.proxies().items():
            if proxy.is_quant_enabled:
                check_effect(name, site, choices[site], proxy)
    return built


def attention_rows(name: str, built: QuantMultiheadAttention, note: str) -> list[LayerReport]:
    """The rows of its projections and, between them, of its matrix products.

    Args:
        name: dotted name of the module.
        built: the quantized layer.
        note: of the projections.
    """
    rows = [
        weight_row(f"{name}.{part}", type(linear).__name__, linear.proxies(), note)
        for part, linear in _projections(built).items()
    ]
    products = LayerReport(
        name,
        type(built).__name__,
        "-",
        describe(built.q_scaled_quant),
        "-",
        "queries, keys, values and attention weights; softmax in float",
    )
    return [*rows[:-1], products, rows[-1]]


def _of_operand(part: str, injector: Any, choice: QuantizerChoice | None) -> Any:
    """Attention weights are from 0 to 1: a sign would waste half of the grid."""
    is_said = choice is None or "signed" in choice.overrides
    if part != _NEVER_NEGATIVE or is_said or injector.signed is not True:
        return injector
    return injector.let(signed=False)


def _projections(built: QuantMultiheadAttention) -> dict[str, Any]:
    names = ("in_proj",) if built.is_packed else ("q_proj", "k_proj", "v_proj")
    return {name: built.get_submodule(name) for name in (*names, "out_proj")}
