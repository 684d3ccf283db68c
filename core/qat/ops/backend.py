"""Which implementation of the straight-through ops is active, decided live by ``qat.config``.

The native one is asked for by ``config.NATIVE_STE_BACKEND_ENABLED`` and needs the compiled library
of :mod:`qat.ops.native`, which is built or loaded the first time it is asked for. Where that fails
the process warns once and goes on with the Python implementation.
"""

from dataclasses import dataclass
from typing import Any

import torch

from qat import config
from qat.ops import native, python_ste, registration


@dataclass(frozen=True)
class BackendReport:
    """Which backend straight-through ops run on (``"python"`` or ``"native"``), and why."""

    active: str
    reason: str


def _native_is_available() -> bool:
    return native.load().library is not None


# What torch.compiler.assume_constant_result sets, without the second or two that it spends on
# importing the compiler: a traced function takes the answer as given and never traces the build.
_native_is_available._dynamo_marked_constant = True  # type: ignore[attr-defined]


def implementation() -> Any:
    """Return the namespace whose functions are the active implementation of each op.

    :mod:`qat.ops.python_ste` or ``torch.ops.qat``; the first call that asks for the native one may
    compile it.
    """
    if config.NATIVE_STE_BACKEND_ENABLED and _native_is_available():
        return torch.ops.qat
    return python_ste


def ensure_registered() -> None:
    """Make every ``torch.ops.qat`` op exist, as TorchScript needs: native, else by Python.

    Call it before scripting code that uses the ops of :mod:`qat.ops.ste`. Cheap after the first
    call.
    """
    if not _native_is_available():
        registration.register_python_ops()


def active_backend() -> str:
    """Return ``"native"`` or ``"python"``: what the next call of an op will run on."""
    return "python" if implementation() is python_ste else "native"


def backend_report() -> BackendReport:
    """Return the active backend and the reason for it; tries the native one if it is asked for."""
    if not config.NATIVE_STE_BACKEND_ENABLED:
        return BackendReport(
            "python", "native not requested (QAT_NATIVE_STE_BACKEND and QAT_JIT off)"
        )
    origin = config.flag_sources()["NATIVE_STE_BACKEND_ENABLED"].origin
    result = native.load()
    if result.library is None:
        return BackendReport("python", f"native requested ({origin}), but {result.failure}")
    return BackendReport("native", f"requested ({origin}), loaded from {result.library}")
