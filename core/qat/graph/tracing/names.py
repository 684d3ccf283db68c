"""Names of places and of modules that a graph gets in addition."""

from torch import fx, nn


def scope_of(node: fx.Node) -> str:
    """Dotted name of the module that a node was called in, ending in a dot; empty for the root."""
    scope = node.meta.get("scope", "")
    return f"{scope}." if scope else ""


def unique_name(root: nn.Module, wanted: str) -> str:
    """``wanted``, or with the first number behind it that no module or attribute has."""
    parent, _, leaf = wanted.rpartition(".")
    try:
        owner = root.get_submodule(parent)
    except AttributeError:  # nothing is called so there
        owner = root
    candidate, number = leaf, 0
    while hasattr(owner, candidate):
        number += 1
        candidate = f"{leaf}_{number}"
    return f"{parent}.{candidate}" if parent else candidate
