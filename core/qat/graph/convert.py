"""Conversion of a float model to a quantized one by rules.

Modules are found by their type, functions in ``forward`` by tracing.
"""

from collections.abc import Sequence

from torch import Tensor, fx, nn

from qat.enums import Site
from qat.graph.attention import attention_rows, build_attention
from qat.graph.bias_scale import pass_scales_to_biases
from qat.graph.build import build_activation, build_add, build_weight_layer
from qat.graph.float_parts import float_notes
from qat.graph.in_place import follow_in_place, restore_in_place
from qat.graph.modules_only import quantize_modules
from qat.graph.on_grid import lies_on_grid
from qat.graph.report import LayerReport, Quantized, describe, weight_row
from qat.graph.rules import Decision, Rule, decide
from qat.graph.sites import Place, find_places, is_attention
from qat.graph.trace import TraceFailure, trace
from qat.nn.activation import QuantActivation
from qat.nn.modes import modes_kept


def quantize_model(model: nn.Module, rules: Sequence[Rule], example_input: Tensor) -> Quantized:
    """A quantized model with the parameters of ``model``, as ``rules`` say.

    Layers with a weight, activation functions and additions are found by tracing, whether they are
    modules or functions. An input quantizer is put in front of a layer only where its input is
    not on a grid already. A model that does not trace has its modules replaced one by one; what its
    ``forward`` computes outside of them stays in float and is said in ``notes``.

    Args:
        model: in float, holding its weights. Not changed; its parameters are shared.
        rules: the last that matches a place wins.
        example_input: float, one batch as the model takes it, on the model's device.
    Raises:
        UnmatchedRuleError: a rule matches no place.
        ValueError: a rule names a quantizer or attribute that does not exist or does not fit.
    """
    try:
        traced = trace(model, example_input)
    except TraceFailure as failure:
        return quantize_modules(model, rules, example_input, str(failure))
    converted = traced.graph_module
    follow_in_place(converted)
    places = find_places(converted)
    decisions = decide(rules, [place.location for place in places])
    rows = [
        row
        for place in places
        for row in _convert(converted, place, decisions[place.location.name])
    ]
    restore_in_place(converted)
    converted.graph.lint()
    converted.recompile()
    converted.delete_all_unused_submodules()
    with modes_kept(model):
        converted.train(model.training)
    pass_scales_to_biases(converted)
    return Quantized(converted, rows, traced.notes + float_notes(converted))


def _convert(converted: fx.GraphModule, place: Place, decision: Decision) -> list[LayerReport]:
    if is_attention(place.module):
        return _convert_attention(converted, place, decision)
    if Site.WEIGHT in place.location.sites:
        return [_convert_weight_layer(converted, place, decision)]
    if place.activation is not None:
        return [_convert_activation(converted, place, decision)]
    return [_convert_add(converted, place, decision)]


def _convert_attention(
    converted: fx.GraphModule, place: Place, decision: Decision
) -> list[LayerReport]:
    name, layer = place.location.name, place.module
    assert isinstance(layer, nn.MultiheadAttention)
    # Queries, keys and values: all of them pass through the one quantizer, or none does.
    given = [source for node in place.nodes for source in node.all_input_nodes]
    on_grid = all(lies_on_grid(converted, source) for source in given)
    attention = build_attention(name, layer, decision, on_grid)
    if attention is None:
        return [LayerReport(name, place.location.module_type, "float", "-", "-")]
    converted.set_submodule(name, attention)
    in_float = decision.choice(Site.INPUT) is None and not on_grid
    return attention_rows(name, attention, "input in float" if in_float else "")


def _convert_weight_layer(
    converted: fx.GraphModule, place: Place, decision: Decision
) -> LayerReport:
    name, layer = place.location.name, place.module
    assert layer is not None
    on_grid = all(lies_on_grid(converted, node.all_input_nodes[0]) for node in place.nodes)
    quantized = build_weight_layer(name, layer, decision, on_grid)
    if not quantized.has_quantizers():
        return LayerReport(name, place.location.module_type, "float", "-", "-")
    converted.set_submodule(name, quantized)
    proxies = quantized.proxies()
    at_input = proxies.get(Site.INPUT)
    in_float = at_input is not None and not at_input.is_quant_enabled and not on_grid
    note = "input in float" if in_float else ""
    return weight_row(name, type(quantized).__name__, proxies, note)


def _convert_activation(converted: fx.GraphModule, place: Place, decision: Decision) -> LayerReport:
    node, activation, name = place.nodes[0], place.activation, place.location.name
    assert activation is not None
    arguments = tuple(node.args[1:]) if node.op != "call_module" else ()
    module = place.module
    if module is None:
        module = activation.make(
            *arguments, **{k: v for k, v in node.kwargs.items() if k != "input"}
        )
    replacement = build_activation(name, activation, module, decision)
    _replace_by_module(converted, node, name, replacement, node.all_input_nodes[:1])
    shown = "float"
    if isinstance(replacement, QuantActivation):
        shown = describe(replacement.act_quant)
    elif isinstance(replacement, nn.Identity):
        shown = "-"
    note = f"{activation.name} becomes {type(replacement).__name__}"
    replaced = decision.activation_function != "keep" and activation.relu_like
    kind = activation.name if replaced or shown == "float" else type(replacement).__name__
    return LayerReport(name, kind, "-", "-", shown, note if replaced else "")


def _convert_add(converted: fx.GraphModule, place: Place, decision: Decision) -> LayerReport:
    node, name = place.nodes[0], place.location.name
    choice = decision.choice(Site.ADD)
    if choice is None:
        return LayerReport(name, "add", "-", "float", "-")
    module = build_add(name, choice)
    _replace_by_module(converted, node, name, module, list(node.args))
    return LayerReport(name, "QuantEltwiseAdd", "-", describe(module.input_quant), "-")


def _replace_by_module(
    converted: fx.GraphModule, node: fx.Node, name: str, module: nn.Module, inputs: Sequence[object]
) -> None:
    converted.add_submodule(name, module)
    with converted.graph.inserting_after(node):
        replacement = converted.graph.call_module(name, tuple(inputs))  # type: ignore[arg-type]
    replacement.meta = dict(node.meta)
    node.replace_all_uses_with(replacement)
    converted.graph.erase_node(node)
