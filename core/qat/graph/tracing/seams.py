"""Seams of torch through which a recorded model is watched.

Functions of tensors are seen by a ``TorchFunctionMode``. Calls of modules, lengths, scripted
functions, functions with a backward of their own and assigned buffers pass by no mode: for the time
of a recording they are led through here, in the whole process.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointFunction

#: Calls a function whole: function, its arguments, its named arguments.
CallWhole = Callable[[Callable[..., Any], Any, Any], Any]


@contextmanager
def modules_seen(call: Callable[..., Any]) -> Iterator[None]:
    """Modules are called by ``call(original, module, args, kwargs)``."""
    original = nn.Module.__call__

    def seen(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return call(original, module, args, kwargs)

    with mock.patch.object(nn.Module, "__call__", seen):
        yield


@contextmanager
def buffers_seen(assign: Callable[[nn.Module, str, Tensor], bool]) -> Iterator[None]:
    """Another tensor in the place of a buffer is handed to ``assign``, which may refuse it."""
    original = nn.Module.__setattr__

    def seen(module: nn.Module, name: str, value: Any) -> None:
        is_buffer = isinstance(value, Tensor) and name in module.__dict__.get("_buffers", ())
        if not is_buffer or not assign(module, name, value):
            original(module, name, value)

    with mock.patch.object(nn.Module, "__setattr__", seen):
        yield


@contextmanager
def lengths_seen(length_of: Callable[[Tensor], int]) -> Iterator[None]:
    """``len`` of a tensor is ``length_of`` it: Python takes a plain number from ``__len__``."""
    original = len

    def seen(item: Any) -> int:
        return length_of(item) if isinstance(item, Tensor) else original(item)

    with mock.patch.object(builtins, "len", seen):
        yield


@contextmanager
def scripted_functions_seen(call_whole: CallWhole) -> Iterator[None]:
    """Scripted functions run as the Python that they were made from, where there is any."""
    scripted: Any = torch._C.ScriptFunction
    original = scripted.__call__

    def call(function: Any, *args: Any, **kwargs: Any) -> Any:
        python = getattr(function, "_torchdynamo_inline", None)
        if python is not None:
            return python(*args, **kwargs)
        return call_whole(partial(original, function), args, kwargs)

    scripted.__call__ = call
    try:
        yield
    finally:
        scripted.__call__ = original


@contextmanager
def autograd_functions_seen(call_whole: CallWhole) -> Iterator[None]:
    """Functions with a backward of their own are kept whole; checkpointed ones are just called."""
    original = torch.autograd.Function.__dict__["apply"]

    def apply(function: Any, *args: Any, **kwargs: Any) -> Any:
        if function is CheckpointFunction:
            run, _preserve_random_state, *given = args
            return run(*given)
        return call_whole(original.__get__(None, function), args, kwargs)

    torch.autograd.Function.apply = classmethod(apply)
    try:
        yield
    finally:
        torch.autograd.Function.apply = original
