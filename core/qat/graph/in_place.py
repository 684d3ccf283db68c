"""In-place functions of a traced model, made out-of-place ones.

``relu_(x)`` and ``x += y`` change ``x`` for all that read it afterwards. The converter puts
modules in their place that give a new tensor, so those reads are led to the new tensor. A change
that is seen through a view made before it is not followed.

Where the converted model still computes ``x += y`` on a tensor that nothing else reads, it is done
in place again: a new tensor for every shortcut is felt in memory and time.
"""

import operator

import torch
from torch import fx, nn
from torch.nn import functional as F

from qat.graph.layers import Activation
from qat.graph.sites import activation_of, is_add

_OUT_OF_PLACE = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}
_IN_PLACE = {out_of_place: in_place for in_place, out_of_place in _OUT_OF_PLACE.items()}
# Modules whose backward reads their input only, so that their output may change.
_MAY_CHANGE_OUTPUT = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_WAS_IN_PLACE = "was_in_place"  # key of a node's ``meta``
_IN_PLACE_FUNCTIONS = (*_OUT_OF_PLACE, torch.relu_, F.relu_)


def follow_in_place(traced: fx.GraphModule) -> None:
    """Let what reads a tensor after an in-place activation or arithmetic read that one's result."""
    modules = dict(traced.named_modules())
    order = {node: index for index, node in enumerate(traced.graph.nodes)}
    for node in traced.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        activation = activation_of(node, module)
        if activation is None and not is_add(node) and node.target not in _OUT_OF_PLACE:
            continue
        changed = node.all_input_nodes[0]
        in_place = bool(getattr(module, "inplace", False)) or _says_in_place(node, activation)
        if in_place and changed.meta.get("tensor_meta") is not None:
            for user in [user for user in changed.users if order[user] > order[node]]:
                user.replace_input_with(changed, node)
        if node.target in _OUT_OF_PLACE:
            node.target = _OUT_OF_PLACE[node.target]
            node.meta[_WAS_IN_PLACE] = True


def restore_in_place(converted: fx.GraphModule) -> None:
    """Arithmetic that the user wrote in place on the output of a batch norm, in place again."""
    for node in converted.graph.nodes:
        if not node.meta.pop(_WAS_IN_PLACE, False) or node.target not in _IN_PLACE:
            continue
        changed = node.all_input_nodes[0]
        if changed.op != "call_module" or len(changed.users) > 1:
            continue
        # Exactly these types: what a subclass keeps for its backward is not known.
        if type(converted.get_submodule(str(changed.target))) in _MAY_CHANGE_OUTPUT:
            node.target = _IN_PLACE[node.target]


def _says_in_place(node: fx.Node, activation: Activation | None) -> bool:
    if node.op == "call_method":
        return str(node.target).endswith("_")
    if node.op != "call_function":
        return False
    if node.target in _IN_PLACE_FUNCTIONS:
        return True
    if activation is None:
        return False
    given = {name: item for name, item in node.kwargs.items() if name != "input"}
    return bool(activation.arguments(*node.args[1:], **given).get("inplace", False))
