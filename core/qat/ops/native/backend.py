"""Active implementation of the ops, decided live by ``qat.config``.

The native one is asked for by ``config.NATIVE_STE_BACKEND_ENABLED`` and needs the compiled library
of :mod:`qat.ops.native.load`, which is built or loaded the first time it is asked for. Where that
fails the process warns once and goes on with the Python implementation.
"""

from dataclasses import dataclass

import torch

from qat import config
from qat.ops.native import load as native


@dataclass(frozen=True)
class BackendReport:
    """Which backend the ops run on (``"python"`` or ``"native"``), and why."""

    active: str
    reason: str


def is_available() -> bool:
    """Whether the native ops are there; builds or loads them on the first call."""
    return native.load().library is not None


def is_native() -> bool:
    """Whether eager code runs on the native ops; asks for them to be built as a first call does."""
    return config.NATIVE_STE_BACKEND_ENABLED and native.load().library is not None


def active_backend() -> str:
    """Return ``"native"`` or ``"python"``: what the next call of an op will run on."""
    return "native" if is_native() and not torch.compiler.is_compiling() else "python"


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
