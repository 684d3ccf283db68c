"""Nodes of two graphs of one model that do the same."""

from collections.abc import Mapping
from difflib import SequenceMatcher

from torch import fx


def matching_nodes(graph: fx.Graph, other: fx.Graph) -> Mapping[fx.Node, fx.Node]:
    """The node of ``other`` that makes the same call in the same module, by node of ``graph``.

    What only one of them does (auxiliary heads, noise in training) has no match, and what comes
    behind it keeps its own.
    """
    nodes, others = [*graph.nodes], [*other.nodes]
    matcher = SequenceMatcher(None, [*map(_call, nodes)], [*map(_call, others)], autojunk=False)
    return {
        nodes[block.a + index]: others[block.b + index]
        for block in matcher.get_matching_blocks()
        for index in range(block.size)
    }


def _call(node: fx.Node) -> tuple[str, str, str]:
    return node.op, str(node.target), str(node.meta.get("scope", ""))
