"""TorchScript behind one door: the only file of the library that names ``torch.jit``.

Quantizers derive from :class:`ScriptModule`. With ``qat.config.JIT_ENABLED`` off it is an ordinary
``torch.nn.Module``. With the flag on, a quantizer compiles itself, and all the components it was
built from, at the end of its construction. The flag is read when an object is built, so it can be
switched at run time and holds for the quantizers built afterwards.

TorchScript is deprecated in current torch and absent from later ones, and ``PYTORCH_JIT=0`` turns
it off: both leave the module as plain Python, the first with one warning.
"""

import io
import warnings
from typing import Any, TypeVar

import torch
from torch import nn

from qat import config

T = TypeVar("T")

_torch_jit: Any = getattr(torch, "jit", None)
_said: set[str] = set()


def _never_scripting() -> bool:
    return False


def _unchanged(function: T) -> T:
    return function


#: True inside compiled TorchScript, False in Python; TorchScript drops the branch not taken.
is_scripting = getattr(_torch_jit, "is_scripting", _never_scripting)
#: Decorator: compile this method too when its module is scripted.
script_method = getattr(_torch_jit, "export", _unchanged)


def _warn_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=3)


def is_available() -> bool:
    """Whether this torch can compile TorchScript and ``PYTORCH_JIT=0`` does not forbid it."""
    if _torch_jit is None or not hasattr(_torch_jit, "script"):
        return False
    enabled = getattr(getattr(_torch_jit, "_state", None), "_enabled", None)
    return bool(getattr(enabled, "enabled", True))


def is_scripted(module: object) -> bool:
    """Whether ``module`` is a compiled TorchScript module."""
    return is_available() and isinstance(module, _torch_jit.ScriptModule)


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
    frontend = _torch_jit.frontend.FrontendError  # syntax that TorchScript does not know
    return (RuntimeError, OSError, NotImplementedError, frontend, _torch_jit.Error)


def script(module: nn.Module) -> nn.Module:
    """Compile ``module`` with TorchScript; on failure warn once, naming the class, and return it.

    A module with a part whose class says ``scriptable = False`` stays in Python.
    """
    if is_scripted(module) or _stays_eager(module):
        return module
    if not is_available():
        if _torch_jit is None or not hasattr(_torch_jit, "script"):
            _warn_once(f"torch {torch.__version__} has no TorchScript: QAT_JIT runs eagerly.")
        return module
    from qat import ops

    ops.ensure_registered()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecation of TorchScript, said once per module
            scripted = _torch_jit.script(module)
    except _compilation_errors() as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        _warn_once(f"{type(module).__name__} can not be compiled and runs eagerly: {first_line}")
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
        _torch_jit.save(module, stream)
    hidden = {
        name: set(child._non_persistent_buffers_set)
        for name, child in module.named_modules(remove_duplicate=False)
        if child._non_persistent_buffers_set
    }
    return stream.getvalue(), hidden


def from_bytes(data: bytes, hidden: dict[str, set[str]]) -> nn.Module:
    """Inverse of :func:`to_bytes`."""
    from qat import ops

    ops.ensure_registered()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: nn.Module = _torch_jit.load(io.BytesIO(data))
    for name, child in module.named_modules(remove_duplicate=False):
        if name in hidden:
            object.__setattr__(child, "_non_persistent_buffers_set", set(hidden[name]))
    return module
