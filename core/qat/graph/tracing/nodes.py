"""Which node of a graph gives which tensor."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy
import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import _extract_tensor_metadata
from torch.nn.utils.rnn import PackedSequence
from torch.utils.weak import WeakTensorKeyDictionary

from qat.graph.tracing.dims import Dim
from qat.graph.tracing.values import has_tensors, is_state, parts, tensors_in, tensors_of

#: Functions whose results differ from call to call.
RANDOM = frozenset(
    "rand randn randint randperm rand_like randn_like randint_like bernoulli bernoulli_ normal "
    "normal_ uniform_ multinomial poisson random_ exponential_ dropout dropout_ feature_dropout "
    "alpha_dropout dropout1d dropout2d dropout3d feature_alpha_dropout rrelu".split()
)
#: Functions whose results are as large as the values of their arguments say.
_COUNTING = frozenset(
    "nonzero argwhere masked_select unique unique_consecutive _unique2 unique_dim bincount "
    "repeat_interleave nms".split()
)
#: Functions whose results are as large as their first argument, beside those that change it.
_AS_LARGE = frozenset(
    "setitem index_add index_copy index_fill index_put scatter scatter_add scatter_reduce "
    "masked_fill masked_scatter new_zeros new_ones new_full new_empty new_tensor".split()
)


class Untraceable(BaseException):  # no Exception: the user's own ``except`` is not for it
    """A module cannot be recorded.

    Args:
        path: of the module whose ``forward`` does it; empty for the model itself.
        reason: what it does.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path or 'the model itself'}: {reason}")
        self.path, self.reason = path, reason


class WholeFunction(nn.Module):
    """A function kept whole, called as a module: scripted, or with a backward of its own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def _get_name(self) -> str:
        return str(getattr(self.function, "__qualname__", type(self.function).__name__))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the function gives."""
        return self.function(*args, **kwargs)


class TensorNodes:
    """The nodes of a graph that is being recorded, by the tensors that they gave.

    Args:
        model: has the parameters and buffers that the graph names.
        graph: gets nodes for attributes and for parts of results.
        added: gets the tensors and modules that the graph names and the model does not have.
        scope: gives the path of the module whose ``forward`` is running.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: fx.Graph,
        added: dict[str, Any],
        scope: Callable[[], str],
    ) -> None:
        self._model, self._graph, self._scope = model, graph, scope
        self._added = added
        self._attributes = tensors_of(model)
        self._values: Any = WeakTensorKeyDictionary()  # tensor -> a function that gives its node

    def made(self, node: fx.Node, value: Any) -> None:
        """``node`` gave ``value``; its ``meta`` is filled in."""
        self._describe(node, value)
        self._hold(value, partial(_itself, node))

    def forget(self, tensor: Tensor) -> None:
        """Look a tensor up anew, as the attribute that it is."""
        del self._values[tensor]

    def aliases(self, changed: list[Tensor]) -> list[fx.Node]:
        """The nodes of other tensors, still alive, in the memory of those that were changed."""
        memory = {tensor.untyped_storage()._cdata for tensor in changed}
        mine = {id(tensor) for tensor in changed}
        return [
            held()
            for other, held in [*self._values.items()]
            if id(other) not in mine and other.untyped_storage()._cdata in memory
        ]

    def _describe(self, node: fx.Node, value: Any) -> None:
        arguments = node.all_input_nodes
        node.meta["scope"] = self._scope()
        node.meta["of_input"] = node.op == "placeholder" or any(
            each.meta.get("of_input", False) for each in arguments
        )
        node.meta["fixed"] = (
            node.op not in ("placeholder", "call_module")
            and name_of(node.target) not in RANDOM
            and all(each.meta.get("fixed", False) for each in arguments)
        )
        node.meta["counted"] = _is_counted(node, value)
        node.meta["varies"] = node.op == "placeholder" or any(
            each.meta.get("varies", False) for each in arguments
        )
        if has_tensors(value) and type(value) in (Tensor, nn.Parameter, tuple, list, dict):
            node.meta["tensor_meta"] = _metadata(value)

    def _hold(self, value: Any, node: Callable[[], fx.Node]) -> None:
        """Remember where each tensor of ``value`` comes from."""
        if isinstance(value, Tensor):
            self._values[value] = node
            return
        for key, part, take in parts(value):
            if has_tensors(part):
                self._hold(part, self._part_of(node, key, part, take))

    def _part_of(
        self, whole: Callable[[], fx.Node], key: Any, part: Any, take: Callable[..., Any]
    ) -> Callable[[], fx.Node]:
        made: list[fx.Node] = []
        scope = self._scope()

        def make() -> fx.Node:
            if not made:
                node = self._graph.call_function(take, (whole(), key))
                self._describe(node, part)
                node.meta["scope"] = scope
                made.append(node)
            return made[0]

        return make

    def node(self, tensor: Tensor) -> fx.Node:
        """The node that gives ``tensor``."""
        held = self._values.get(tensor)
        if held is None:
            node = self._attribute(tensor)
            self._values[tensor] = held = partial(_itself, node)
        return held()

    def _attribute(self, tensor: Tensor) -> fx.Node:
        path = self._attributes.get(tensor)
        held_by_model = path is not None and is_state(self._model, path)
        if path is None:  # a constant of the user's program
            path = self.add("_constant", tensor.detach())
        node = self._graph.create_node("get_attr", path, (), {}, name=path.replace(".", "_"))
        self._describe(node, tensor)
        node.meta["fixed"] = not held_by_model
        return node

    def add(self, stem: str, item: Any) -> str:
        """Add a tensor or module; returns the name that it gets."""
        known = next((name for name, other in self._added.items() if _is_same(other, item)), None)
        if known is not None:
            return known
        number = 0
        while f"{stem}_{number}" in self._added or hasattr(self._model, f"{stem}_{number}"):
            number += 1
        self._added[f"{stem}_{number}"] = item
        return f"{stem}_{number}"

    def first_node(self, result: Any) -> fx.Node | None:
        """The node of the first tensor in ``result``, if a node gave it."""
        for tensor in tensors_in(result):
            held = self._values.get(tensor)
            return held() if held is not None else None
        return None

    def argument(self, value: Any) -> Any:
        """``value`` as the argument of a node."""
        if isinstance(value, Tensor):
            return self.node(value)
        if isinstance(value, Dim):
            return value.node
        if isinstance(value, torch.Size):
            return tuple(map(self.argument, value))
        if isinstance(value, numpy.generic):
            return value.item()
        if isinstance(value, PackedSequence):
            return self._made(value, value._asdict())
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self.argument, value))
        if type(value) in (tuple, list):
            return type(value)(map(self.argument, value))
        if isinstance(value, slice):
            parts = (value.start, value.stop, value.step)
            return slice(*map(self.argument, parts))
        if type(value) is OrderedDict:
            items = [(key, self.argument(item)) for key, item in value.items()]
            return self._described_call(OrderedDict, (items,), {})
        if isinstance(value, Mapping) and type(value).__module__ in ("builtins", "collections"):
            return {key: self.argument(item) for key, item in value.items()}
        if isinstance(value, fx.node.base_types) or value is None or value is ...:
            return value
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = dataclasses.fields(value)
            return self._made(value, {f.name: getattr(value, f.name) for f in fields})
        if isinstance(value, Mapping):
            return self._made(value, dict(value))
        raise Untraceable(self._scope(), f"forward passes on a {type(value).__name__}")

    def _made(self, value: Any, parts: Mapping[str, Any]) -> fx.Node:
        given = {key: self.argument(part) for key, part in parts.items()}
        return self._described_call(type(value), (), given)

    def _described_call(self, kind: Any, args: Any, kwargs: Any) -> fx.Node:
        node = self._graph.call_function(kind, args, kwargs)
        node.meta["scope"] = self._scope()
        return node


def _is_counted(node: fx.Node, value: Any) -> bool:
    """Whether the values in a batch, not only its shape, say how large ``value`` is."""
    name = name_of(node.target)
    if name in _COUNTING or (name == "where" and len(node.args) + len(node.kwargs) == 1):
        return True
    if name == "getitem" and any(map(_is_mask, node.all_input_nodes[1:])):
        return True
    as_large = name in _AS_LARGE or (name.endswith("_") and not name.endswith("__"))
    sources = node.all_input_nodes[:1] if as_large else node.all_input_nodes
    is_number = isinstance(value, Tensor) and value.dim() == 0
    return not is_number and any(each.meta.get("counted", False) for each in sources)


def _metadata(value: Any) -> Any:
    """Shapes and dtypes in place of tensors; what holds them becomes plain tuples and dicts."""
    if isinstance(value, Tensor):
        return _extract_tensor_metadata(value)
    if isinstance(value, tuple | list):
        return tuple(map(_metadata, value))
    return {key: _metadata(item) for key, item in value.items()} if type(value) is dict else None


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, WholeFunction) and isinstance(b, WholeFunction):
        return bool(a.function == b.function)
    is_tensor = isinstance(a, Tensor) and isinstance(b, Tensor)
    return is_tensor and a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.dtype == b.dtype


def _is_mask(node: fx.Node) -> bool:
    return getattr(node.meta.get("tensor_meta"), "dtype", None) in (torch.bool, torch.uint8)


def _itself(node: fx.Node) -> fx.Node:
    return node


def name_of(function: Any) -> str:
    name = str(getattr(function, "__name__", function))
    return str(function.__self__.__name__) if name == "__get__" else name
