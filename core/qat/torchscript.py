"""The names of TorchScript, and stand-ins for a torch without it.

The only file of the library that names ``torch.jit``; compiling itself, which needs the ops, is in
:mod:`qat.jit`. TorchScript is deprecated in current torch and absent from later ones, and
``PYTORCH_JIT=0`` turns it off.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

T = TypeVar("T")

#: ``torch.jit``, or None.
torch_jit: Any = getattr(torch, "jit", None)


def _never_scripting() -> bool:
    return False


def _unchanged(function: T) -> T:
    return function


#: True inside compiled TorchScript, False in Python; TorchScript drops the branch not taken.
is_scripting = getattr(torch_jit, "is_scripting", _never_scripting)
#: Decorator: compile this method too when its module is scripted.
script_method = getattr(torch_jit, "export", _unchanged)


def is_available() -> bool:
    """Whether this torch can compile TorchScript and ``PYTORCH_JIT=0`` does not forbid it."""
    if torch_jit is None or not hasattr(torch_jit, "script"):
        return False
    enabled = getattr(getattr(torch_jit, "_state", None), "_enabled", None)
    return bool(getattr(enabled, "enabled", True))


def is_scripted(module: object) -> bool:
    """Whether ``module`` is a compiled TorchScript module."""
    return is_available() and isinstance(module, torch_jit.ScriptModule)


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
