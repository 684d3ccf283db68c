"""Values that pass through a recorded model: tensors, sizes, containers of them."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from qat.graph.tracing.dims import Dim


def tensors_of(model: nn.Module) -> Any:
    """Paths of all tensors that are attributes of modules, by tensor."""
    found: Any = WeakTensorKeyDictionary()
    for prefix, module in reversed([*model.named_modules()]):
        for name, item in [
            *vars(module).items(),
            *module._buffers.items(),
            *module._parameters.items(),
        ]:
            if isinstance(item, Tensor):
                found[item] = f"{prefix}.{name}" if prefix else name
    return found


def is_state(model: nn.Module, path: str) -> bool:
    owner, _, name = path.rpartition(".")
    module = model.get_submodule(owner)
    return name in module._parameters or name in module._buffers


def parts(value: Any) -> Iterator[tuple[Any, Any, Callable[..., Any]]]:
    """Key, part and the function that takes it, of a value that holds others."""
    if isinstance(value, Mapping):
        yield from ((key, part, operator.getitem) for key, part in value.items())
    elif isinstance(value, tuple | list):
        yield from ((index, part, operator.getitem) for index, part in enumerate(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield field.name, getattr(value, field.name), getattr


def tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    else:
        for _, part, _ in parts(value):
            yield from tensors_in(part)


def has_tensors(value: Any) -> bool:
    return next(tensors_in(value), None) is not None


def plain(value: Any) -> Any:
    """``value`` with sizes as plain numbers."""
    if isinstance(value, Dim):
        return int(value)
    if isinstance(value, torch.Size):
        return torch.Size(map(int, value))
    if isinstance(value, slice):
        return slice(plain(value.start), plain(value.stop), plain(value.step))
    if type(value) in (tuple, list):
        return type(value)(map(plain, value))
    if type(value) is dict:
        return {key: plain(item) for key, item in value.items()}
    return value


def told_apart(result: Any, given: list[Tensor], changed: list[Tensor]) -> Any:
    """``result`` with another tensor object for each that is one of the arguments, unchanged.

    What a dropout gives in evaluation is its argument; in training it is not, so that later
    readers of the argument must not be taken for readers of the result.
    """
    if isinstance(result, Tensor):
        same = any(result is x for x in given) and not any(result is x for x in changed)
        return torch.ops.aten.alias(result) if same else result
    if type(result) in (tuple, list):
        return type(result)(told_apart(part, given, changed) for part in result)
    return result
