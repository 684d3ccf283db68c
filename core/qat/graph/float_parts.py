"""Notes on the parts of a converted model that stay in float."""

import operator
from collections import Counter
from collections.abc import Container, Iterable

from torch import fx, nn

from qat.graph.layers import ACTIVATION_MODULES, QUANTIZED
from qat.graph.on_grid import GRID_KEEPING_FUNCTIONS, GRID_KEEPING_METHODS, GRID_KEEPING_MODULES
from qat.graph.sites import gives_activations, is_add, is_weight_site
from qat.graph.tracing.names import scope_of
from qat.graph.tracing.trace import is_torchs_own
from qat.nn.computed_weight import QuantOperands

_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def float_notes(model: fx.GraphModule, said: Container[str] = ()) -> list[str]:
    """One note per kind of operation in float that has no row of its own in the table.

    Args:
        model: converted.
        said: names of modules that have a note already.
    """
    norms = 0
    others: dict[str, list[str]] = {}
    for node in model.graph.nodes:
        is_said = node.op in ("placeholder", "output") or str(node.target) in said
        if is_said or not gives_activations(node):
            continue
        module = model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, _BATCH_NORM):
            norms += 1
        elif not _has_row_or_keeps_grid(node, module):
            kind = module._get_name() if module is not None else _function_name(node)
            where = str(node.target) if module is not None else scope_of(node).rstrip(".")
            others.setdefault(kind, []).append(where or "the model itself")
    return _notes(others, norms)


def module_notes(parts: Iterable[tuple[str, nn.Module]]) -> list[str]:
    """The same for a model without a graph, from its modules by name."""
    norms = 0
    others: dict[str, list[str]] = {}
    for name, module in parts:
        if isinstance(module, _BATCH_NORM):
            norms += 1
        elif is_torchs_own(module) and not _has_row(module):
            others.setdefault(type(module).__name__, []).append(name)
    return _notes(others, norms)


def _notes(others: dict[str, list[str]], norms: int) -> list[str]:
    notes = [f"in float: {kind} in {_places(where)}" for kind, where in others.items()]
    if norms:
        notes.append(f"in float: {norms} batch norms, each a scale and shift behind a layer")
    return notes


def _has_row(module: nn.Module) -> bool:
    known = isinstance(module, (*QUANTIZED, *GRID_KEEPING_MODULES))
    return known or is_weight_site(module) or type(module) in ACTIVATION_MODULES


def _has_row_or_keeps_grid(node: fx.Node, module: nn.Module | None) -> bool:
    if module is not None:
        return _has_row(module)
    if is_add(node) or _is_called_with_quantized_operands(node):
        return True
    if node.op == "call_method":
        return node.target in GRID_KEEPING_METHODS
    return node.target in GRID_KEEPING_FUNCTIONS


def _function_name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))


def _places(names: list[str]) -> str:
    counted = [name if n == 1 else f"{name} ({n} times)" for name, n in Counter(names).items()]
    return ", ".join(counted) if len(counted) <= 6 else f"{', '.join(counted[:5])}, ..."


def _is_called_with_quantized_operands(node: fx.Node) -> bool:
    model = node.graph.owning_module
    for operand in node.all_input_nodes:
        source = operand.all_input_nodes[0] if operand.target is operator.getitem else operand
        if source.op == "call_module" and model is not None:
            if isinstance(model.get_submodule(str(source.target)), QuantOperands):
                return True
    return False
