"""Whether one graph computes in both modes, evaluation and training."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from torch import fx, nn
from torch.nn import functional as F

from qat.graph.tracing.names import scope_of, unique_name

_DROPOUT = {
    F.dropout: nn.Dropout,
    F.dropout1d: nn.Dropout1d,
    F.dropout2d: nn.Dropout2d,
    F.dropout3d: nn.Dropout3d,
    F.alpha_dropout: nn.AlphaDropout,
    F.feature_alpha_dropout: nn.FeatureAlphaDropout,
}


def same_steps(evaluation: fx.Graph, training: fx.Graph) -> list[fx.Node] | None:
    """The dropouts of ``evaluation`` that follow the mode, where nothing else does; else None."""
    if len(evaluation.nodes) != len(training.nodes):
        return None
    follow_mode: list[fx.Node] = []
    names = [_names(evaluation), _names(training)]
    for node, other in zip(evaluation.nodes, training.nodes, strict=True):
        modes = [_dropout_mode(node), _dropout_mode(other)]
        if modes == [False, True]:
            follow_mode.append(node)
        elif modes[0] is not modes[1]:
            return None
        if _line(node, names[0]) != _line(other, names[1]):
            return None
    return follow_mode


def make_dropouts_modules(model: nn.Module, dropouts: Sequence[fx.Node]) -> dict[str, nn.Module]:
    """Let modules, which follow the mode of the model, compute ``dropouts``.

    Returns:
        The modules by the names that the graph has for them; ``model`` has none of these.
    """
    made: dict[str, nn.Module] = {}
    for node in dropouts:
        given = _arguments(node)
        wanted = unique_name(model, f"{scope_of(node)}dropout")
        name, number = wanted, 0
        while name in made:
            number += 1
            name = f"{wanted}_{number}"
        made[name] = _DROPOUT[node.target](given["p"], given["inplace"])  # type: ignore[index]
        with node.graph.inserting_after(node):
            replacement = node.graph.call_module(name, (given["input"],))
        replacement.meta = dict(node.meta)
        node.replace_all_uses_with(replacement)
        node.graph.erase_node(node)
    return made


def _names(graph: fx.Graph) -> dict[fx.Node, str]:
    return {node: f"%{index}" for index, node in enumerate(graph.nodes)}


def _line(node: fx.Node, names: dict[fx.Node, str]) -> tuple[Any, ...]:
    args: Any = (node.args, node.kwargs)
    if _dropout_mode(node) is not None:
        given = _arguments(node)
        args = (given["input"], given["p"], given["inplace"])
    # By its text: a number that is NaN, or a bool beside an int, compares as no one would expect.
    return node.op, str(node.target), repr(fx.node.map_arg(args, lambda each: names[each]))


def _dropout_mode(node: fx.Node) -> bool | None:
    if node.op != "call_function" or node.target not in _DROPOUT:
        return None
    return bool(_arguments(node)["training"])


def _arguments(node: fx.Node) -> dict[str, Any]:
    bound = inspect.signature(node.target).bind(*node.args, **node.kwargs)  # type: ignore[arg-type]
    bound.apply_defaults()
    return bound.arguments
