"""Quantizers in front of functions that are called with a weight."""

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

from qat.enums import Site
from qat.graph.build import built_or_named, check_effect, named_injector
from qat.graph.functions.with_weight import (
    WeightFunction,
    example_size,
    input_of,
    weight_of,
    with_operands,
)
from qat.graph.model import ConvertedModel
from qat.graph.rules import Decision
from qat.nn.computed_weight import QuantOperands


def build_operands(
    name: str, function: WeightFunction, example: Tensor, decision: Decision, on_grid: bool
) -> QuantOperands:
    """The quantizers of the operands; that of an input on a grid is left out.

    Args:
        name: of the place.
        function: what is called there.
        example: the weight that it is called with.
        decision: of the rules.
        on_grid: whether the input lies on a grid already.
    """
    sites = [Site.WEIGHT] + ([Site.INPUT] if function.has_grid_input and not on_grid else [])
    choices = {site: decision.choice(site) for site in sites}
    injectors = {
        site: None if choice is None else named_injector(name, site, choice)
        for site, choice in choices.items()
    }
    built: QuantOperands = built_or_named(
        name,
        lambda: QuantOperands(
            example,
            function.output_channel_dim,
            injectors[Site.WEIGHT],
            injectors.get(Site.INPUT),
        ),
    )
    for site, choice in choices.items():
        check_effect(name, site, choice, built.proxies()[site])
    return built


def hold_in_place_of(converted: ConvertedModel, name: str, operands: nn.Module) -> None:
    """Put ``operands`` at ``name``, with the tensors and modules that are held there already."""
    try:
        held = converted.get_submodule(name)
    except AttributeError:
        held = None
    if held is not None:
        operands._parameters.update(held._parameters)
        operands._buffers.update(held._buffers)
        operands._non_persistent_buffers_set.update(held._non_persistent_buffers_set)
        for child, module in held.named_children():
            operands.add_module(child, module)
    converted.add_submodule(name, operands)


def quantize_operands_of(node: fx.Node, function: WeightFunction, name: str) -> None:
    """Let ``node`` compute on what the module ``name`` gives for its operands."""
    x, weight = input_of(node, function), weight_of(node, function)
    assert weight is not None
    graph = node.graph
    with graph.inserting_before(node):
        both = graph.call_module(name, (x, weight))
        both.meta = {"scope": node.meta.get("scope", "")}
        parts = []
        for index, operand in enumerate((x, weight)):
            part = graph.call_function(operator.getitem, (both, index))
            part.meta = {key: item for key, item in operand.meta.items() if key != "aliases"}
            parts.append(part)
    with_operands(node, function, *parts)


def value_of(converted: ConvertedModel, node: fx.Node | None) -> Tensor:
    """The value of a node that follows from attributes of the model."""
    assert node is not None
    values: dict[fx.Node, Any] = {}
    for each in _before(node):
        if _is_example_size(each):
            values[each] = example_size(each)
            continue
        args, kwargs = fx.node.map_arg((each.args, each.kwargs), values.__getitem__)
        if each.op == "get_attr":
            owner, _, leaf = str(each.target).rpartition(".")
            held = getattr(converted.get_submodule(owner), leaf)
            is_buffer = not isinstance(held, nn.Parameter)
            values[each] = held.clone() if is_buffer else held  # it may be changed on the way
        else:
            runner = fx.Interpreter(converted, graph=each.graph)
            with torch.no_grad():
                values[each] = getattr(runner, each.op)(each.target, args, kwargs)
    found: Tensor = values[node]
    return found


def _before(node: fx.Node) -> list[fx.Node]:
    """The node and all that it follows from, in order."""
    needed, open_nodes = {node}, [node]
    while open_nodes:
        each = open_nodes.pop()
        sources = [] if _is_example_size(each) else each.all_input_nodes
        new = [source for source in sources if source not in needed]
        needed.update(new)
        open_nodes += new
    return [each for each in node.graph.nodes if each in needed]


def _is_example_size(node: fx.Node) -> bool:
    return bool(node.meta.get("is_size")) and node.op == "call_method"
