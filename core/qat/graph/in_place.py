"""Modules in the place of functions that change their argument.

``relu_(x)`` and ``x += y`` change ``x`` for all that read it afterwards. Those that read it by its
name are led to the new node by the recording. Others read it through a tensor that shares its
memory, as ``x`` after ``x[:, :4].relu_()``: for them the result is written into that memory.
"""

from collections.abc import Sequence
from typing import Any

from torch import fx


def call_in_place_of(node: fx.Node, module: str, inputs: Sequence[Any]) -> None:
    """Let the module of that name compute what ``node`` does; it gives a new tensor."""
    graph = node.graph
    is_seen = _is_seen_through_others(node)
    with graph.inserting_before(node):
        if is_seen:  # what the module keeps for its backward must not change
            changed = inputs[0]
            inputs = [graph.call_method("clone", (changed,)), *inputs[1:]]
            inputs[0].meta = dict(changed.meta)
        result = graph.call_module(module, tuple(inputs))
        result.meta = {key: item for key, item in node.meta.items() if key != "aliases"}
        if is_seen:
            result = graph.call_method("copy_", (changed, result))
            result.meta = dict(node.meta)
    node.replace_all_uses_with(result)
    graph.erase_node(node)


def _is_seen_through_others(node: fx.Node) -> bool:
    aliases = node.meta.get("aliases", ())
    if not aliases:
        return False
    order = {each: index for index, each in enumerate(node.graph.nodes)}
    after = order[node]
    return any(order.get(user, -1) > after for alias in aliases for user in alias.users)
