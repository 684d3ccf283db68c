"""The ``torch.fx`` trace of a float model.

In it the converter finds, and replaces, functions that ``forward`` calls.
"""

import inspect
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional as F

from qat.nn.modes import modes_kept

_DROPOUT = {
    F.dropout: nn.Dropout,
    F.dropout1d: nn.Dropout1d,
    F.dropout2d: nn.Dropout2d,
    F.dropout3d: nn.Dropout3d,
    F.alpha_dropout: nn.AlphaDropout,
    F.feature_alpha_dropout: nn.FeatureAlphaDropout,
}


@dataclass(frozen=True)
class Trace:
    """A traced model.

    Args:
        graph_module: the model as a graph; shares parameters with the original.
        notes: what a user should know of the trace.
    """

    graph_module: fx.GraphModule
    notes: list[str]


class TraceFailure(Exception):
    """The model does not trace; the text says why."""


def is_torchs_own(module: nn.Module) -> bool:
    """Whether torch's own code, no user's, computes ``module`` and uses what is inside of it."""
    forward = type(module).forward
    if isinstance(module, nn.Sequential) or forward is nn.Module.forward:
        return False
    return str(getattr(forward, "__module__", "")).startswith("torch.nn.")


class _Proxy(fx.Proxy):
    """Records ``x += y`` as what it is; plain fx records ``x = x + y``, which other names miss."""

    def _in_place(self, function: Callable[..., Any], other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    def __iadd__(self, other: Any) -> fx.Proxy:
        return self._in_place(operator.iadd, other)

    def __isub__(self, other: Any) -> fx.Proxy:
        return self._in_place(operator.isub, other)

    def __imul__(self, other: Any) -> fx.Proxy:
        return self._in_place(operator.imul, other)

    def __itruediv__(self, other: Any) -> fx.Proxy:
        return self._in_place(operator.itruediv, other)


class _Tracer(fx.Tracer):
    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_torchs_own(m) or type(m).__module__.startswith("qat.nn.")


def trace(model: nn.Module, example_input: Tensor) -> Trace:
    """Trace ``model`` as it is in evaluation, with the shapes that ``example_input`` gives.

    Raises:
        TraceFailure: the model's Python code depends on data, or the graph does not run.
    """
    notes: list[str] = []
    with modes_kept(model):
        model.eval()
        graph = _graph_of(model)
        traced = fx.GraphModule(model, graph)
        model.train()
        if _differs(graph, model):
            notes.append(
                "the model's forward differs between training and evaluation beyond dropout: "
                "the converted model computes as in evaluation"
            )
        _make_dropout_modules(traced)
        _propagate_shapes(traced, example_input)
    return Trace(traced, notes)


def _graph_of(model: nn.Module) -> fx.Graph:
    try:
        return _Tracer().trace(model)
    except Exception as error:  # whatever the user's forward raises on a proxy
        raise TraceFailure(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _differs(evaluation: fx.Graph, model: nn.Module) -> bool:
    try:
        training = _Tracer().trace(model)
    except Exception:  # it does not trace in training mode, so it does something else there
        return True
    return _outline(evaluation) != _outline(training)


def _outline(graph: fx.Graph) -> list[tuple[str, ...]]:
    return [_line(node) for node in graph.nodes]


def _line(node: fx.Node) -> tuple[str, ...]:
    if node.target in _DROPOUT:  # made to follow the mode of the converted model
        return (node.op, str(node.target))
    return (node.op, str(node.target), str(node.args), str(node.kwargs))


def _make_dropout_modules(traced: fx.GraphModule) -> None:
    # A functional dropout was traced with the mode of that moment; a module follows the model's.
    for node in list(traced.graph.nodes):
        if node.op != "call_function" or node.target not in _DROPOUT:
            continue
        arguments = inspect.signature(node.target).bind(*node.args, **node.kwargs)
        arguments.apply_defaults()
        if arguments.arguments["training"]:  # on in evaluation too: it does not follow any mode
            continue
        name = unique_name(traced, f"{scope_of(node)}dropout")
        traced.add_submodule(name, _DROPOUT[node.target](arguments.arguments["p"]))
        with traced.graph.inserting_after(node):
            replacement = traced.graph.call_module(name, (arguments.arguments["input"],))
        node.replace_all_uses_with(replacement)
        traced.graph.erase_node(node)
    traced.recompile()


def _propagate_shapes(traced: fx.GraphModule, example_input: Tensor) -> None:
    traced.eval()
    try:
        with torch.no_grad():
            ShapeProp(traced).propagate(example_input.clone())
    except Exception as error:  # the user's model on the user's image size
        raise TraceFailure(_first_line(error)) from error


def scope_of(node: fx.Node) -> str:
    """Dotted name of the module that a node was called in, ending in a dot; empty for the root."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values() if path]
    return f"{paths[-1]}." if paths else ""


def unique_name(root: nn.Module, wanted: str) -> str:
    """``wanted``, or with the first number behind it that no module or attribute has."""
    parent, _, leaf = wanted.rpartition(".")
    modules = dict(root.named_modules())
    owner = modules.get(parent, root)
    candidate, number = wanted, 0
    while candidate in modules or hasattr(owner, candidate.rpartition(".")[2]):
        number += 1
        candidate = f"{wanted}_{number}"
    return candidate
