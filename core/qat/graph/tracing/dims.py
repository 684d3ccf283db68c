"""Sizes of traced tensors: integers that know where they come from.

``forward`` computes with them as with any ``int``: it compares, indexes, loops. Where one is handed
to a tensor function, the graph gets the expression that it stands for, so that a batch of another
size goes through the same graph.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

#: Gives the node that computes a size, made at the first call.
MakeNode = Callable[[], fx.Node]
#: Makes a node that calls a function on sizes and numbers.
CallFunction = Callable[[Callable[..., Any], tuple[Any, ...]], fx.Node]


class Dim(int):
    """A size that was read from a traced tensor, or a sum, product, quotient of such.

    Args:
        size: what it is for the example.
        make: gives its node in the graph.
        call: makes nodes of arithmetic.
    """

    make: MakeNode
    call: CallFunction

    def __new__(cls, size: int, make: MakeNode, call: CallFunction) -> Dim:
        made = super().__new__(cls, size)
        made.make, made.call = make, call
        return made

    @property
    def node(self) -> fx.Node:
        """Its node in the graph."""
        return self.make()

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (int(self),)  # a copy is a plain number


def node_or_number(size: Any) -> Any:
    """The node of a :class:`Dim`; anything else as it is."""
    return size.node if isinstance(size, Dim) else size


def _traced(function: Callable[..., Any], name: str, swapped: bool) -> Callable[..., Any]:
    plain = getattr(int, name)

    def method(self: Dim, *others: Any) -> Any:
        size = plain(self, *others)
        if type(size) is not int:  # NotImplemented, or a float
            return size
        operands = (*others, self) if swapped else (self, *others)
        made: list[fx.Node] = []

        def make() -> fx.Node:
            if not made:
                made.append(self.call(function, tuple(map(node_or_number, operands))))
            return made[0]

        return Dim(size, make, self.call)

    return method


for _name in ("add", "sub", "mul", "floordiv", "mod"):
    _function = getattr(operator, _name)
    setattr(Dim, f"__{_name}__", _traced(_function, f"__{_name}__", swapped=False))
    setattr(Dim, f"__r{_name}__", _traced(_function, f"__r{_name}__", swapped=True))
Dim.__neg__ = _traced(operator.neg, "__neg__", swapped=False)  # type: ignore[method-assign]


class SizeNodes:
    """The nodes of a graph that read sizes from tensors and compute with them.

    Args:
        graph: gets the nodes.
        scope: gives the path of the module whose ``forward`` is running.
    """

    def __init__(self, graph: fx.Graph, scope: Callable[[], str]) -> None:
        self._graph, self._scope = graph, scope

    def traced(self, sizes: Any, of: fx.Node, axis: Any = None) -> Any:
        """``sizes`` of the tensor of a node, as sizes that know it.

        Args:
            sizes: a ``torch.Size``; or an int, the size along ``axis``, or without that the number
                of elements.
            of: the node.
            axis: where it is one size.
        """
        if isinstance(sizes, torch.Size):
            whole = self._described(self._graph.call_method("size", (of,)))
            return torch.Size(
                [
                    Dim(size, self._once(operator.getitem, (whole, index)), self._call)
                    for index, size in enumerate(sizes)
                ]
            )
        method, args = ("numel", (of,)) if axis is None else ("size", (of, int(axis)))
        node = self._described(self._graph.call_method(method, args))
        return Dim(sizes, lambda: node, self._call)

    def drop_unused(self) -> None:
        """Erase those that nothing reads."""
        for node in reversed([*self._graph.nodes]):
            if node.meta.get("is_size") and not node.users:
                self._graph.erase_node(node)

    def _once(self, function: Callable[..., Any], args: tuple[Any, ...]) -> MakeNode:
        made: list[fx.Node] = []

        def make() -> fx.Node:
            if not made:
                made.append(self._call(function, args))
            return made[0]

        return make

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> fx.Node:
        return self._described(self._graph.call_function(function, args))

    def _described(self, node: fx.Node) -> fx.Node:
        node.meta.update(scope=self._scope(), fixed=False, is_size=True)
        return node
