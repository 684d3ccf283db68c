"""Sums that carry a residual stream.

In a transformer everything is added to one stream, which grows from block to block; each block
reads it through a norm, which divides by its spread. A few large channels then set the step of an
8 bit grid, and what the norm makes of the rest is noise: deit_tiny comes to 13 dB with its sums on
8 bit and to 30 dB with them in float.

So it is, to a lesser degree, where many sums follow each other with nothing between them, as in
EfficientNet v2: what each of them rounds off stays in the stream to its end.
"""

from collections.abc import Iterable

import torch
from torch import fx, nn
from torch.nn import functional as F

from qat.graph.layers import ADD_FUNCTIONS, ADD_METHODS
from qat.graph.on_grid import module_of, only_moves, reached

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_NORM_FUNCTIONS = (F.layer_norm, F.group_norm, F.rms_norm)
_JOINS = (torch.cat, torch.concat, torch.concatenate, torch.stack)
#: Sums in a row from which on they are a stream: MobileNet and ResNet have up to four.
_LONG = 5


def carries_a_stream(node: fx.Node) -> bool:
    """Whether a sum is a residual stream beside a norm over a sample's own values.

    That is one that such a norm reads, moved or joined to others at most; or one that gets what a
    norm gives and is one of several sums in a row. Batch norms do not count: they are a fixed scale
    and shift for each channel. Scores of attention count too, to which a mask adds -100: a softmax
    reads them. And one of many sums in a row, whatever reads them.
    """
    after = reached(node, lambda each: each.users, _hands_on)
    if any(_is_norm(each) or _is_softmax(each) for each in after):
        return True
    inputs = node.all_input_nodes
    before = {each for x in inputs for each in reached(x, _all_inputs, _hands_on) | {x}}
    if any(map(_is_norm, before)) and any(map(_is_sum, before | after)):
        return True
    return _sums_in_a_row(node) >= _LONG


def _sums_in_a_row(node: fx.Node) -> int:
    found, open_sums = {node}, [node]
    while open_sums:
        middle = open_sums.pop()
        around = reached(middle, lambda each: each.users)
        for x in middle.all_input_nodes:
            around |= reached(x, _inputs) | {x}
        more = {each for each in around if _is_sum(each)} - found
        found |= more
        open_sums += more
    return len(found)


def _hands_on(node: fx.Node) -> bool:
    """Whether a stream goes on behind a node: a class token may be joined to it on the way."""
    return only_moves(node) or (node.op == "call_function" and node.target in _JOINS)


def _all_inputs(node: fx.Node) -> Iterable[fx.Node]:
    return node.all_input_nodes if _hands_on(node) else ()


def _inputs(node: fx.Node) -> Iterable[fx.Node]:
    return node.all_input_nodes if only_moves(node) else ()


def _is_sum(node: fx.Node) -> bool:
    return node.op != "call_module" and node.target in (*ADD_FUNCTIONS, *ADD_METHODS)


def _is_norm(node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(module_of(node), _NORMS)
    return node.op == "call_function" and node.target in _NORM_FUNCTIONS


def _is_softmax(node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(module_of(node), nn.Softmax)
    return node.target in ("softmax", torch.softmax, F.softmax)
