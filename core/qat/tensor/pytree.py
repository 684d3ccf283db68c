"""``QuantTensor`` as a node of torch's trees, so that compiled and exported functions take and
return it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.utils._pytree import GetAttrKey, register_pytree_node

from .quant_tensor import QuantTensor

LEAVES = ("value", "scale", "zero_point", "bit_width")
Context = tuple[Any, Any]


def flatten(x: QuantTensor) -> tuple[list[Any], Context]:
    """The four tensors, and the two flags that a graph is specialized on."""
    return [x.value, x.scale, x.zero_point, x.bit_width], (x.signed, x.training)


def flatten_with_keys(x: QuantTensor) -> tuple[list[tuple[Any, Any]], Context]:
    """As ``flatten``, with the name of each tensor."""
    leaves, context = flatten(x)
    return [(GetAttrKey(name), leaf) for name, leaf in zip(LEAVES, leaves, strict=True)], context


def unflatten(leaves: Iterable[Any], context: Context) -> QuantTensor:
    """The inverse; leaves may be anything, as trees of shapes or names are built with it too."""
    x = QuantTensor.__new__(QuantTensor)
    x.value, x.scale, x.zero_point, x.bit_width = leaves
    x.signed, x.training = context
    return x


register_pytree_node(
    QuantTensor,
    flatten,
    unflatten,
    serialized_type_name="qat.QuantTensor",
    to_dumpable_context=list,
    from_dumpable_context=tuple,
    flatten_with_keys_fn=flatten_with_keys,
)
