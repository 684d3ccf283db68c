"""``QuantTensor`` as a node of torch's trees, so that compiled and exported functions take and
return it, and programs on disk hold it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

from torch.serialization import add_safe_globals
from torch.utils._pytree import GetAttrKey, register_pytree_node

from qat.formats import FloatFormat, SpecialValues
from qat.tensor.quant_tensor import QuantTensor

LEAVES = ("value", "scale", "zero_point", "bit_width")
Context = tuple[Any, Any, Any]


def flatten(x: QuantTensor) -> tuple[list[Any], Context]:
    """The four tensors, and what a graph is specialized on: two flags and the format."""
    return [x.value, x.scale, x.zero_point, x.bit_width], (x.signed, x.training, x.format)


def flatten_with_keys(x: QuantTensor) -> tuple[list[tuple[Any, Any]], Context]:
    """As ``flatten``, with the name of each tensor."""
    leaves, context = flatten(x)
    return [(GetAttrKey(name), leaf) for name, leaf in zip(LEAVES, leaves, strict=True)], context


def unflatten(leaves: Iterable[Any], context: Context) -> QuantTensor:
    """The inverse; leaves may be anything, as trees of shapes or names are built with it too."""
    x = QuantTensor.__new__(QuantTensor)
    x.value, x.scale, x.zero_point, x.bit_width = leaves
    x.signed, x.training, x.format = context
    return x


def to_dumpable(context: Context) -> list[Any]:
    """The context as lists of numbers, for exported programs on disk."""
    signed, training, format = context
    return [signed, training, None if format is None else astuple(format)]


def from_dumpable(dumped: list[Any]) -> Context:
    """The inverse of ``to_dumpable``, read back as nested lists."""
    signed, training, numbers = dumped
    if numbers is None:
        return signed, training, None
    exponent_bits, mantissa_bits, bias, special, has_sign = numbers
    special_values = SpecialValues(*special)
    return (
        signed,
        training,
        FloatFormat(exponent_bits, mantissa_bits, bias, special_values, has_sign),
    )


# An exported program is saved with its example inputs, which torch reads without running code: of
# these classes it may make objects. They hold tensors, numbers and flags.
add_safe_globals([QuantTensor, FloatFormat, SpecialValues])

register_pytree_node(
    QuantTensor,
    flatten,
    unflatten,
    serialized_type_name="qat.QuantTensor",
    to_dumpable_context=to_dumpable,
    from_dumpable_context=from_dumpable,
    flatten_with_keys_fn=flatten_with_keys,
)
