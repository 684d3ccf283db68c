"""Sums that carry a residual stream into a norm.

In a transformer everything is added to one stream, which grows from block to block; each block
reads it through a norm, which divides by its spread. A few large channels then set the step of an
8 bit grid, and what the norm makes of the rest is noise: deit_tiny comes to 13 dB with its sums on
8 bit and to 30 dB with them in float.
"""

from torch import fx, nn
from torch.nn import functional as F

from qat.graph.on_grid import GRID_KEEPING_FUNCTIONS, GRID_KEEPING_METHODS, GRID_KEEPING_MODULES

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_NORM_FUNCTIONS = (F.layer_norm, F.group_norm, F.rms_norm)


def flows_into_a_norm(node: fx.Node) -> bool:
    """Whether a norm over a sample's own values reads what ``node`` gives, moved at most.

    Batch norms are none: they are a fixed scale and shift for each channel.
    """
    open_nodes, seen = [node], {node}
    while open_nodes:
        for user in open_nodes.pop().users:
            if _is_norm(user):
                return True
            if user not in seen and _only_moves(user):
                seen.add(user)
                open_nodes.append(user)
    return False


def _is_norm(node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(_module_of(node), _NORMS)
    return node.op == "call_function" and node.target in _NORM_FUNCTIONS


def _only_moves(node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(_module_of(node), GRID_KEEPING_MODULES)
    if node.op == "call_method":
        return node.target in GRID_KEEPING_METHODS
    return node.op == "call_function" and node.target in GRID_KEEPING_FUNCTIONS


def _module_of(node: fx.Node) -> nn.Module | None:
    model = node.graph.owning_module
    return None if model is None else model.get_submodule(str(node.target))
