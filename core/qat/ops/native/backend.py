"""Which implementation of the ops is active, decided live by ``qat.config``.

The native one is asked for by ``config.NATIVE_STE_BACKEND_ENABLED`` and needs the compiled library
of :mod:`qat.ops.native.load`, which is built or loaded the first time it is asked for. Where that
fails the process warns once and goes on with the Python implementation.
"""

from dataclasses import dataclass
from typing import Any

import torch

from qat import config
from qat.ops.native import load as native
from qat.ops.native import register as registration
from qat.ops.reference import all_ops as python_ops


@dataclass(frozen=True)
class BackendReport:
    """Which backend straight-through ops run on (``"python"`` or ``"native"``), and why."""

    active: str
    reason: str


def _native_is_available() -> bool:
    return native.load().library is not None


def is_native() -> bool:
    """Whether eager code runs on the native ops; asks for them to be built as a first call does."""
    return config.NATIVE_STE_BACKEND_ENABLED and _native_is_available()


def eager_implementation() -> Any:
    """:func:`implementation` where the caller knows that nothing is being compiled."""
    return torch.ops.qat if is_native() else python_ops


def implementation() -> Any:
    """Return the namespace whose functions are the active implementation of each op.

    :mod:`qat.ops.reference.all_ops` or ``torch.ops.qat``; the first call that asks for the native
    one may compile it. Under torch.compile and torch.export it is the Python one, whose single
    steps the compiler sees and fuses.
    """
    return python_ops if torch.compiler.is_compiling() else eager_implementation()


def ensure_registered() -> None:
    """Make every ``torch.ops.qat`` op exist, as TorchScript needs: native, else by Python.

    Call it before scripting code that uses the ops of :mod:`qat.ops.ste`. Cheap after the first
    call.
    """
    if not _native_is_available():
        registration.register_python_ops()
    registration.register_python_only_ops()


def active_backend() -> str:
    """Return ``"native"`` or ``"python"``: what the next call of an op will run on."""
    return "python" if implementation() is python_ops else "native"


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
