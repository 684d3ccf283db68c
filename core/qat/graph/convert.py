"""Conversion of a float model to a quantized one by rules.

Modules are found by their type, functions in ``forward`` by tracing.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import fx, nn

from qat.enums import Site
from qat.graph.attention import attention_rows, build_attention
from qat.graph.bias_scale import pass_scales_to_biases
from qat.graph.build import build_activation, build_weight_layer
from qat.graph.float_parts import float_notes
from qat.graph.functions.joins import JOIN
from qat.graph.functions.operands import quantize_operands
from qat.graph.functions.shared_grid import quantize_join
from qat.graph.functions.weight_quantizers import (
    build_operands,
    hold_in_place_of,
    quantize_operands_of,
    value_of,
)
from qat.graph.functions.with_weight import input_of, weight_of
from qat.graph.hooks import move_hooks
from qat.graph.in_place import call_in_place_of
from qat.graph.layers import recurrent_class
from qat.graph.model import ConvertedModel
from qat.graph.modules_only import convert_inside, quantize_modules
from qat.graph.on_grid import lies_on_grid
from qat.graph.recurrent import build_recurrent, recurrent_row, why_in_float
from qat.graph.report import LayerReport, Quantized, describe, refuse_nothing, weight_row
from qat.graph.rules import Decision, Rule, decide
from qat.graph.single_layer import Holder, is_single_layer, taken_out
from qat.graph.sites import Place, find_places, float_layers_of, is_attention
from qat.graph.sums import convert_add, readers_of_grids
from qat.graph.tracing.same_function import random_states_put_back
from qat.graph.tracing.trace import Example, TraceFailure, trace
from qat.graph.tracing.unwrap import unwrap
from qat.nn.activation import QuantActivation
from qat.nn.modes import modes_kept


def quantize_model(model: nn.Module, rules: Sequence[Rule], example_input: Example) -> Quantized:
    """A quantized model with the parameters of ``model``, as ``rules`` say.

    Layers with a weight, activation functions and additions are found by tracing, whether they are
    modules or functions. An input quantizer is put in front of a layer only where its input is
    not on a grid already. With all quantizers off the result computes what ``model`` does, in
    evaluation and in training; that is tried out. A module inside whose ``forward`` cannot be
    traced stays Python: its layers are replaced one by one, and what it computes outside of them
    stays in float, which is said in ``notes``. So it is with ``model`` itself. Wrappers are looked
    through, see :mod:`qat.graph.tracing.unwrap`.

    Args:
        model: in float, holding its weights. Not changed; its parameters are shared.
        rules: the last that matches a place wins.
        example_input: one batch as the model takes it, on the model's device: a tensor, or a tuple
            of the arguments.
    Raises:
        UnmatchedRuleError: a rule matches no place.
        ValueError: a rule names a quantizer or attribute that does not exist or does not fit;
            layers of the model are made, or their shapes known, in its first call only;
            rules name a quantizer of weights and no weight gets one; or
            :func:`qat.graph.tracing.unwrap.unwrap` refuses the model.
    """
    plain = unwrap(model)
    with random_states_put_back():
        if is_single_layer(plain.model):
            converted = taken_out(_quantized(Holder(plain.model), rules, example_input))
        else:
            converted = _quantized(plain.model, rules, example_input)
    refuse_nothing(plain.model, rules, converted.layers)
    return replace(converted, notes=[*plain.notes, *converted.notes])


def _quantized(model: nn.Module, rules: Sequence[Rule], example_input: Example) -> Quantized:
    try:
        traced = trace(model, example_input)
    except TraceFailure as failure:
        return quantize_modules(model, rules, example_input, str(failure))
    converted = traced.graph_module
    places = find_places(converted, traced.whole, float_layers_of(model))
    decisions = decide(rules, [place.location for place in places])
    readers = readers_of_grids(places, decisions)
    rows = [
        row
        for place in places
        for row in _convert(converted, place, decisions[place.location.name], readers)
    ]
    converted.lint()
    converted.recompile()
    unused = _never_called(converted, model)
    converted.delete_all_unused_submodules()
    with modes_kept(model):
        converted.train(model.training)
    pass_scales_to_biases(converted)
    whole = [f"{name} stays Python ({reason})" for name, reason in traced.whole.items()]
    notes = [*traced.notes, *whole, *unused, *float_notes(converted, traced.whole)]
    return Quantized(converted, rows, notes)


def _never_called(converted: ConvertedModel, model: nn.Module) -> list[str]:
    kept = {id(parameter) for parameter in converted.parameters()}
    left = [name for name, parameter in model.named_parameters() if id(parameter) not in kept]
    owners = list(dict.fromkeys(name.rpartition(".")[0] or name for name in left))
    return [f"left out, since forward never uses it: {', '.join(owners)}"] if owners else []


def _convert(
    converted: ConvertedModel, place: Place, decision: Decision, readers: set[fx.Node]
) -> list[LayerReport]:
    if not place.nodes:
        return convert_inside(converted, place, decision)
    if is_attention(place.module):
        return _convert_attention(converted, place, decision)
    if recurrent_class(place.module) is not None:
        return [_convert_recurrent(converted, place, decision)]
    if place.function is not None:
        return [_convert_function(converted, place, decision)]
    if Site.WEIGHT in place.location.sites:
        return [_convert_weight_layer(converted, place, decision)]
    if place.activation is not None:
        return [_convert_activation(converted, place, decision)]
    if place.location.by_request:
        choice = decision.choice(Site.INPUT)
        name = place.location.name
        quantize = quantize_join if place.location.module_type == JOIN else quantize_operands
        return [quantize(converted, place.nodes, name, choice)] if choice else []
    return [convert_add(converted, place, decision, readers)]


def _convert_attention(
    converted: ConvertedModel, place: Place, decision: Decision
) -> list[LayerReport]:
    name, layer = place.location.name, place.module
    assert isinstance(layer, nn.MultiheadAttention)
    # Queries, keys and values: all of them pass through the one quantizer, or none does.
    given = [source for node in place.nodes for source in node.all_input_nodes]
    on_grid = all(lies_on_grid(converted, source) for source in given)
    attention = build_attention(name, layer, decision, on_grid)
    if attention is None:
        return [LayerReport(name, place.location.module_type, "float", "-", "-")]
    move_hooks(layer, attention)
    converted.set_submodule(name, attention)
    in_float = decision.choice(Site.INPUT) is None and not on_grid
    return attention_rows(name, attention, "input in float" if in_float else "")


def _convert_recurrent(converted: ConvertedModel, place: Place, decision: Decision) -> LayerReport:
    name, layer = place.location.name, place.module
    assert layer is not None
    reason = why_in_float(layer, place.nodes)
    built = build_recurrent(name, layer, decision) if reason is None else None
    if built is None:
        return LayerReport(name, place.location.module_type, "float", "-", "-", reason or "")
    move_hooks(layer, built)
    converted.set_submodule(name, built)
    return recurrent_row(name, built)


def _convert_weight_layer(
    converted: ConvertedModel, place: Place, decision: Decision
) -> LayerReport:
    name, layer = place.location.name, place.module
    assert layer is not None
    on_grid = all(lies_on_grid(converted, node.all_input_nodes[0]) for node in place.nodes)
    quantized = build_weight_layer(name, layer, decision, on_grid)
    if not quantized.has_quantizers():
        return LayerReport(name, place.location.module_type, "float", "-", "-")
    move_hooks(layer, quantized)
    converted.set_submodule(name, quantized)
    proxies = quantized.proxies()
    at_input = proxies.get(Site.INPUT)
    in_float = at_input is not None and not at_input.is_quant_enabled and not on_grid
    note = "input in float" if in_float else ""
    return weight_row(name, type(quantized).__name__, proxies, note)


def _convert_function(converted: ConvertedModel, place: Place, decision: Decision) -> LayerReport:
    name, function = place.location.name, place.function
    assert function is not None
    on_grid = all(lies_on_grid(converted, input_of(node, function)) for node in place.nodes)
    example = value_of(converted, weight_of(place.nodes[0], function))
    operands = build_operands(name, function, example, decision, on_grid)
    if not operands.has_quantizers():
        return LayerReport(name, place.location.module_type, "float", "-", "-")
    hold_in_place_of(converted, name, operands)
    for node in place.nodes:
        quantize_operands_of(node, function, name)
    proxies = operands.proxies()
    return weight_row(name, f"Quant{function.kind}", proxies, "called as a function")


def _convert_activation(converted: ConvertedModel, place: Place, decision: Decision) -> LayerReport:
    node, activation, name = place.nodes[0], place.activation, place.location.name
    assert activation is not None
    arguments = tuple(node.args[1:]) if node.op != "call_module" else ()
    module = place.module
    if module is None:
        module = activation.make(
            *arguments, **{k: v for k, v in node.kwargs.items() if k != "input"}
        )
    passed_by = (
        place.location.is_factor
        and decision.choice(Site.ACTIVATION) is not None
        and Site.ACTIVATION not in decision.named
    )
    if passed_by:
        decision = replace(decision, choices={})
    replacement = build_activation(name, activation, module, decision)
    if place.module is not None:
        move_hooks(place.module, replacement)
    converted.add_submodule(name, replacement)
    for each in place.nodes:
        call_in_place_of(each, name, each.all_input_nodes[:1])
    shown = "float"
    if isinstance(replacement, QuantActivation):
        shown = describe(replacement.act_quant)
    elif isinstance(replacement, nn.Identity):
        shown = "-"
    replaced = decision.activation_function != "keep" and activation.relu_like
    kind = activation.name if replaced or shown == "float" else type(replacement).__name__
    note = "only products read it: a rule by name quantizes it" if passed_by else ""
    if replaced:
        note = f"{activation.name} becomes {type(replacement).__name__}"
    return LayerReport(name, kind, "-", "-", shown, note)
