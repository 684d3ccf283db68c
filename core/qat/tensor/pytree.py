"""``QuantTensor`` as a node of torch's trees.

So compiled and exported functions take and return it, and programs on disk hold it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

from torch.serialization import add_safe_globals
from torch.utils._pytree import GetAttrKey, register_pytree_node

from qat.formats import FloatFormat, SpecialValues
from qat.tensor.kind import GridKind
from qat.tensor.quant_tensor import QuantTensor

LEAVES = ("value", "scale", "zero_point", "bit_width")
Context = tuple[GridKind, Any]


def flatten(x: QuantTensor) -> tuple[list[Any], Context]:
    """The four tensors, and what a graph is specialized on: kind and training flag."""
    return [x.value, x.scale, x.zero_point, x.bit_width], (x.kind, x.training)


def flatten_with_keys(x: QuantTensor) -> tuple[list[tuple[Any, Any]], Context]:
    """As ``flatten``, with the name of each tensor."""
    leaves, context = flatten(x)
    return [(GetAttrKey(name), leaf) for name, leaf in zip(LEAVES, leaves, strict=True)], context


def unflatten(leaves: Iterable[Any], context: Context) -> QuantTensor:
    """The inverse; leaves may be anything, as trees of shapes or names are built with it too."""
    x = QuantTensor.__new__(QuantTensor)
    x.value, x.scale, x.zero_point, x.bit_width = leaves
    x.kind, x.training = context
    return x


def to_dumpable(context: Context) -> list[Any]:
    """The context as lists of numbers, for exported programs on disk."""
    kind, training = context
    numbers = None if kind.float_format is None else astuple(kind.float_format)
    return [kind.signed, training, numbers, kind.narrow]


def from_dumpable(dumped: list[Any]) -> Context:
    """The inverse of ``to_dumpable``, read back as nested lists; ``narrow`` may be missing."""
    signed, training, numbers, *narrow = dumped
    float_format = None
    if numbers is not None:
        exponent_bits, mantissa_bits, bias, special, has_sign = numbers
        special_values = SpecialValues(*special)
        float_format = FloatFormat(exponent_bits, mantissa_bits, bias, special_values, has_sign)
    return GridKind(signed, any(narrow), float_format), training


# An exported program is saved with its example inputs, which torch reads without running code: of
# these classes it may make objects. They hold tensors, numbers and flags.
add_safe_globals([QuantTensor, GridKind, FloatFormat, SpecialValues])

register_pytree_node(
    QuantTensor,
    flatten,
    unflatten,
    serialized_type_name="qat.QuantTensor",
    to_dumpable_context=to_dumpable,
    from_dumpable_context=from_dumpable,
    flatten_with_keys_fn=flatten_with_keys,
)
