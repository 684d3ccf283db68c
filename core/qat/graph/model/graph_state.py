"""Graphs as plain values, for pickle.

``torch.fx`` pickles the code of a graph and traces that again, which many graphs do not stand: one
that assigns to a slice, or counts in a buffer.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import fx
from torch.fx.node import _find_module_of_method
from torch.fx.passes.shape_prop import TensorMetadata

_KEPT = ("scope", "tensor_meta")


@dataclass(frozen=True)
class _Node:
    """A node by its number in the graph."""

    index: int


@dataclass(frozen=True)
class _Function:
    """A function by the place where it is found."""

    module: str
    name: str

    def find(self) -> Callable[..., Any]:
        found: Any = importlib.import_module(self.module)
        for part in self.name.split("."):
            found = getattr(found, part, None)
        return found


def graph_state(graph: fx.Graph) -> list[tuple[Any, ...]]:
    """The nodes of ``graph`` as values that pickle takes."""
    numbers = {node: _Node(index) for index, node in enumerate(graph.nodes)}

    def number(node: fx.Node) -> Any:
        return numbers[node]

    return [
        (
            node.name,
            node.op,
            _by_place(node.target),
            fx.node.map_arg(node.args, number),
            fx.node.map_arg(node.kwargs, number),
            {key: _without_format(node.meta[key]) for key in _KEPT if key in node.meta},
        )
        for node in graph.nodes
    ]


def graph_of_state(state: list[tuple[Any, ...]]) -> fx.Graph:
    """The graph that :func:`graph_state` was given."""
    graph = fx.Graph()
    nodes: list[fx.Node] = []

    def found(value: Any) -> Any:
        return nodes[value.index] if isinstance(value, _Node) else value

    for name, op, target, args, kwargs, meta in state:
        if isinstance(target, _Function):
            target = target.find()
        given = _mapped(args, found), _mapped(kwargs, found)
        node = graph.create_node(op, target, *given, name=name)
        node.meta.update(meta)
        nodes.append(node)
    return graph


def _without_format(value: Any) -> Any:
    """Without the memory formats of tensors, which older protocols of pickle do not take."""
    if isinstance(value, TensorMetadata):
        return value._replace(memory_format=None)
    if isinstance(value, tuple | list):
        return type(value)(map(_without_format, value))
    if isinstance(value, dict):
        return {key: _without_format(item) for key, item in value.items()}
    return value


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(item, function) for item in value))
    if isinstance(value, tuple | list):
        return type(value)(_mapped(item, function) for item in value)
    if isinstance(value, dict):
        return {key: _mapped(item, function) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(_mapped(part, function) for part in (value.start, value.stop, value.step)))
    return function(value)


def _by_place(target: Any) -> Any:
    """Functions that do not know the place where people find them: made in C, or by another."""
    if isinstance(target, str) or isinstance(target, type) or not hasattr(target, "__name__"):
        return target
    module = getattr(target, "__module__", None)
    if module is None:
        return _Function(_find_module_of_method(target), target.__name__)
    place = _Function(module, target.__name__)
    made_inside = "<locals>" in getattr(target, "__qualname__", "")  # such as F.max_pool2d
    return place if made_inside and place.find() is target else target
