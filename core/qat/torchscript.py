"""The names of TorchScript, and stand-ins for a torch without it.

The only file of the library that names ``torch.jit``; compiling itself, which needs the ops, is in
:mod:`qat.jit`. TorchScript is deprecated in current torch and absent from later ones, and
``PYTORCH_JIT=0`` turns it off.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

T = TypeVar("T")

#: ``torch.jit``, or None.
torch_jit: Any = getattr(torch, "jit", None)


def _never_scripting() -> bool:
    return False


#: True inside compiled TorchScript, False in Python; TorchScript drops the branch not taken.
is_scripting = getattr(torch_jit, "is_scripting", _never_scripting)
_methods: list[Any] = []


def script_method(function: T) -> T:
    """Decorator: :func:`methods_exported` compiles this method too when its module is scripted.

    Not ``torch.jit.export``, at which ``torch.jit.trace`` would compile what it is to trace.
    """
    _methods.append(function)
    return function


@contextmanager
def methods_exported() -> Iterator[None]:
    """Scripting inside of it compiles methods under :func:`script_method`."""
    for method in _methods:
        torch_jit.export(method)
    try:
        yield
    finally:
        for method in _methods:
            del method._torchscript_modifier


def is_available() -> bool:
    """Whether this torch can compile TorchScript and ``PYTORCH_JIT=0`` does not forbid it."""
    if torch_jit is None or not hasattr(torch_jit, "script"):
        return False
    enabled = getattr(getattr(torch_jit, "_state", None), "_enabled", None)
    return bool(getattr(enabled, "enabled", True))


def is_scripted(module: object) -> bool:
    """Whether ``module`` is a compiled TorchScript module."""
    return is_available() and isinstance(module, torch_jit.ScriptModule)


def copy_sharing_tensors(module: nn.Module) -> nn.Module:
    """A copy of a compiled module with its tensors, and modes and submodules of its own.

    torch has no public way: its own replicas for several devices are made like this.
    """
    replica = _replica(module)
    pairs = zip(module.modules(), replica.modules(), strict=True)
    for theirs, ours in pairs:  # which buffers stay out of the state dict is not compiled
        hidden = set(theirs._non_persistent_buffers_set)
        object.__setattr__(ours, "_non_persistent_buffers_set", hidden)
    return replica


def _replica(module: Any) -> nn.Module:
    compiled = module._c._replicate_for_data_parallel()
    for name, child in module.named_children():
        compiled.setattr(name, _replica(child)._c)
    replica: nn.Module = torch_jit._recursive.wrap_cpp_module(compiled)
    return replica


def compile_as_op(function: Callable[..., Any], name: str) -> None:
    """Let compiled code call the registered op ``name`` where Python calls ``function``.

    So ``function`` itself need not be readable by the compiler, and asked to compile it alone it
    says so. This is torch's own table of such functions, in which it enters ``torch.ops``; it has
    no public name.
    """
    if torch_jit is not None:
        torch_jit._builtins._register_builtin(function, name)
        text = f"{name} is an op already; compile a function or module that calls it."
        function.__dict__["__script_unsupported"] = text
