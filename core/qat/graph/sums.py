"""Additions, their operands on one grid or each tensor on its own."""

import operator
from collections.abc import Mapping, Sequence

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from qat.enums import Site
from qat.graph.build import built_or_named, check_effect, named_injector
from qat.graph.in_place import call_in_place_of
from qat.graph.model import ConvertedModel
from qat.graph.on_grid import lies_on_grid, reached
from qat.graph.report import LayerReport, describe
from qat.graph.rules import Decision
from qat.graph.sites import Place
from qat.nn import QuantEltwiseAdd
from qat.proxy import QuantProxy

_GIVE_NEW_MEMORY = (_BatchNorm, _ConvNd, nn.Linear)


def convert_add(
    converted: ConvertedModel, place: Place, decision: Decision, readers: set[fx.Node]
) -> LayerReport:
    """Put a :class:`qat.nn.QuantEltwiseAdd` in place of an addition, as the rules say.

    With ``add_grid`` ``"own"`` an operand passes a quantizer where it is on no grid yet, and the
    sum one where one of ``readers`` reads it: each tensor is rounded once, as in runtimes that have
    a scale for each.

    Args:
        converted: gets the module.
        place: the addition.
        decision: of the rules.
        readers: see :func:`readers_of_grids`.
    """
    name, choice = place.location.name, decision.choice(Site.ADD)
    if choice is None:
        only = "a residual stream or scores: only a rule by type or name quantizes it"
        note = only if place.location.is_stream else ""
        return LayerReport(name, "add", "-", "float", "-", note)
    injector = named_injector(name, Site.ADD, choice)
    if decision.add_grid == "shared":
        module = built_or_named(name, lambda: QuantEltwiseAdd(injector, output_quant=None))
    else:
        first, second = (_quantizer_of(converted, place.nodes, i, injector) for i in (0, 1))
        is_read = any(_readers(node) & readers for node in place.nodes)
        module = built_or_named(
            name,
            lambda: QuantEltwiseAdd(first, injector if is_read else None, other_quant=second),
        )
    operands = [each for each in (module.input_quant, module.other_quant) if _is_on(each)]
    result = [module.output_quant] if _is_on(module.output_quant) else []
    for proxy in [*operands, *result][:1]:
        check_effect(name, Site.ADD, choice, proxy)
    module.overwrites_first = all(_overwrites_new_memory(converted, each) for each in place.nodes)
    converted.add_submodule(name, module)
    for node in place.nodes:
        call_in_place_of(node, name, [*node.args])
    shown = [describe(found[0]) if found else "-" for found in (operands, result)]
    return LayerReport(name, "QuantEltwiseAdd", "-", *shown)


def readers_of_grids(places: Sequence[Place], decisions: Mapping[str, Decision]) -> set[fx.Node]:
    """The calls that want their input on a grid: layers, and sums on grids of their own."""
    found: set[fx.Node] = set()
    for place in places:
        decision = decisions[place.location.name]
        is_sum = decision.choice(Site.ADD) is not None and decision.add_grid == "own"
        is_layer = Site.WEIGHT in place.location.sites and decision.choice(Site.INPUT) is not None
        if is_sum or is_layer:
            found.update(place.nodes)
    return found


def _overwrites_new_memory(converted: ConvertedModel, node: fx.Node) -> bool:
    """Whether the user adds in place to what a layer has just computed."""
    first = node.args[0]
    if node.target is not operator.iadd or not isinstance(first, fx.Node):
        return False
    module = converted.get_submodule(str(first.target)) if first.op == "call_module" else None
    return isinstance(module, _GIVE_NEW_MEMORY)


def _is_on(proxy: QuantProxy | None) -> bool:
    return proxy is not None and proxy.is_quant_enabled


def _readers(node: fx.Node) -> set[fx.Node]:
    return reached(node, lambda each: each.users)


def _quantizer_of(
    converted: ConvertedModel, nodes: Sequence[fx.Node], index: int, injector: type
) -> type | None:
    operands: list[fx.Node] = [node.args[index] for node in nodes]  # type: ignore[misc]
    return None if all(lies_on_grid(converted, operand) for operand in operands) else injector
