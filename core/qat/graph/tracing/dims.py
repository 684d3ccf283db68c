"""Sizes of traced tensors: integers that know where they come from.

``forward`` computes with them as with any ``int``: it compares, indexes, loops. Where one is handed
to a tensor function, the graph gets the expression that it stands for, so that a batch of another
size goes through the same graph. Where one is compared, Python may go another way for another
batch, which whoever made the size is told.
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
#: Is told that Python compares a size, or asks whether it is zero.
Compared = Callable[[], None]


def unheard() -> None:
    """Nobody wants to know."""


class Dim(int):
    """A size that was read from a traced tensor, or a sum, product, quotient of such.

    Args:
        size: what it is for the example.
        make: gives its node in the graph.
        call: makes nodes of arithmetic.
        compared: is called before it is compared.
    """

    make: MakeNode
    call: CallFunction
    compared: Compared

    def __new__(
        cls, size: int, make: MakeNode, call: CallFunction, compared: Compared = unheard
    ) -> Dim:
        made = super().__new__(cls, size)
        made.make, made.call, made.compared = make, call, compared
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

        return Dim(size, make, self.call, _all_told(operands))

    return method


def _all_told(operands: tuple[Any, ...]) -> Compared:
    told = {item.compared for item in operands if isinstance(item, Dim)} - {unheard}
    if len(told) < 2:
        return next(iter(told), unheard)
    return lambda: [each() for each in told][0]


def _comparison(name: str) -> Callable[..., Any]:
    plain = getattr(int, name)

    def method(self: Dim, *others: Any) -> Any:
        self.compared()
        return plain(self, *others)

    return method


for _name in ("add", "sub", "mul", "floordiv", "mod"):
    _function = getattr(operator, _name)
    setattr(Dim, f"__{_name}__", _traced(_function, f"__{_name}__", swapped=False))
    setattr(Dim, f"__r{_name}__", _traced(_function, f"__r{_name}__", swapped=True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne", "bool"):
    setattr(Dim, f"__{_name}__", _comparison(f"__{_name}__"))
Dim.__neg__ = _traced(operator.neg, "__neg__", swapped=False)  # type: ignore[method-assign]


class SizeNodes:
    """The nodes of a graph that read sizes from tensors and compute with them.

    Args:
        graph: gets the nodes.
        scope: gives the path of the module whose ``forward`` is running.
    """

    def __init__(self, graph: fx.Graph, scope: Callable[[], str]) -> None:
        self._graph, self._scope = graph, scope

    def traced(self, sizes: Any, of: fx.Node, compared: Compared, axis: Any = None) -> Any:
        """``sizes`` of the tensor of a node, as sizes that know it.

        Args:
            sizes: a ``torch.Size``; or an int, the size along ``axis``, or without that the number
                of elements.
            of: the node.
            compared: is told where Python compares one that may be another for another batch: the
                number of elements, the first size, and of a selection every one.
            axis: where it is one size.
        """
        if not isinstance(sizes, torch.Size):
            method, args = ("numel", (of,)) if axis is None else ("size", (of, int(axis)))
            varies = axis in (None, 0) or _is_counted(of)
            node = self._described(self._graph.call_method(method, args), varies)
            return Dim(sizes, lambda: node, self._call, compared if varies else unheard)
        whole = self._described(self._graph.call_method("size", (of,)), False)
        dims = []
        for index, size in enumerate(sizes):
            varies = index == 0 or _is_counted(of)
            make = self._once((whole, index), varies)
            dims.append(Dim(size, make, self._call, compared if varies else unheard))
        return torch.Size(dims)

    def drop_unused(self) -> None:
        """Erase those that nothing reads."""
        for node in reversed([*self._graph.nodes]):
            if node.meta.get("is_size") and not node.users:
                self._graph.erase_node(node)

    def _once(self, args: tuple[Any, ...], varies: bool) -> MakeNode:
        made: list[fx.Node] = []

        def make() -> fx.Node:
            if not made:
                item = self._graph.call_function(operator.getitem, args)
                made.append(self._described(item, varies))
            return made[0]

        return make

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> fx.Node:
        varies = any(arg.meta["varies"] for arg in args if isinstance(arg, fx.Node))
        return self._described(self._graph.call_function(function, args), varies)

    def _described(self, node: fx.Node, varies: bool) -> fx.Node:
        node.meta.update(scope=self._scope(), fixed=True, is_size=True, varies=varies)
        return node


def _is_counted(node: fx.Node) -> bool:
    return bool(node.meta.get("counted"))
