"""Compiling quantizers with TorchScript, where the JIT flag asks for it.

Quantizers derive from :class:`ScriptModule`. With ``qat.config.JIT_ENABLED`` off it is an ordinary
``torch.nn.Module``. With the flag on, a quantizer compiles itself, and all the components it was
built from, at the end of its construction. The flag is read when an object is built, so it can be
switched at run time and holds for the quantizers built afterwards.

Where TorchScript is missing or turned off (:mod:`qat.torchscript`) the module stays plain Python;
where it is missing, one warning says so.
"""

import io
import warnings
from typing import Any

import torch
from torch import nn

from qat import config, ops, torchscript
from qat.torchscript import is_available as is_available
from qat.torchscript import is_scripted as is_scripted
from qat.torchscript import is_scripting as is_scripting
from qat.torchscript import script_method as script_method

_said: set[str] = set()


def _warn_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=3)


def _stays_eager(module: nn.Module) -> bool:
    return any(not getattr(type(child), "scriptable", True) for child in module.modules())


def _keep_non_persistent(source: nn.Module, scripted: nn.Module) -> None:
    # Scripting forgets which buffers stay out of the state dict; the two trees have the same names.
    targets = dict(scripted.named_modules(remove_duplicate=False))
    for name, child in source.named_modules(remove_duplicate=False):
        if child._non_persistent_buffers_set and name in targets:
            names = set(child._non_persistent_buffers_set)
            object.__setattr__(targets[name], "_non_persistent_buffers_set", names)


def _compilation_errors() -> tuple[type[Exception], ...]:
    frontend = torchscript.torch_jit.frontend.FrontendError  # syntax that TorchScript does not know
    return (RuntimeError, OSError, NotImplementedError, frontend, torchscript.torch_jit.Error)


def script(module: nn.Module) -> nn.Module:
    """Compile ``module`` with TorchScript; on failure warn once, naming the class, and return it.

    A module with a part whose class says ``scriptable = False`` stays in Python.
    """
    if is_scripted(module) or _stays_eager(module):
        return module
    if not is_available():
        if torchscript.torch_jit is None or not hasattr(torchscript.torch_jit, "script"):
            _warn_once(f"torch {torch.__version__} has no TorchScript: QAT_JIT runs eagerly.")
        return module
    ops.ensure_registered()
    try:
        with warnings.catch_warnings(), torchscript.methods_exported():
            warnings.simplefilter("ignore")  # deprecation of TorchScript, said once per module
            scripted = torchscript.torch_jit.script(module)
    except _compilation_errors() as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        _warn_once(f"{type(module).__name__} cannot be compiled and runs eagerly: {first_line}")
        return module
    _keep_non_persistent(module, scripted)
    return scripted


class _CompiledWhenBuilt(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        module = super().__call__(*args, **kwargs)
        return script(module) if config.JIT_ENABLED else module


class ScriptModule(nn.Module, metaclass=_CompiledWhenBuilt):
    """Base of everything that can be a ``tensor_quant``; compiled when the JIT flag is on.

    ``forward`` must then be readable by the TorchScript compiler: ``typing`` annotations, no
    keyword-only arguments, attributes typed by their value.
    """


def to_bytes(module: nn.Module) -> tuple[bytes, dict[str, set[str]]]:
    """A scripted module as bytes, with what TorchScript's own format forgets."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torchscript.torch_jit.save(module, stream)
    hidden = {
        name: set(child._non_persistent_buffers_set)
        for name, child in module.named_modules(remove_duplicate=False)
        if child._non_persistent_buffers_set
    }
    return stream.getvalue(), hidden


def from_bytes(data: bytes, hidden: dict[str, set[str]]) -> nn.Module:
    """Inverse of :func:`to_bytes`."""
    ops.ensure_registered()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: nn.Module = torchscript.torch_jit.load(io.BytesIO(data))
    for name, child in module.named_modules(remove_duplicate=False):
        if name in hidden:
            object.__setattr__(child, "_non_persistent_buffers_set", set(hidden[name]))
    return module
