"""Loading the native library, at most once per process.

Nothing happens at import: :func:`load` builds or finds the library when a straight-through op is
first asked for natively. Success and failure are both final for the process, because a dispatcher
namespace can be filled only once (see :mod:`qat.ops.native.register`).
"""

import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from qat.ops.native.build import build


class NativeBackendWarning(RuntimeWarning):
    """The native backend was asked for and is not available; the Python one is used."""


@dataclass(frozen=True)
class LoadResult:
    """Either the path of the loaded library or the reason why there is none."""

    library: Path | None
    failure: str


_lock = threading.Lock()
_result: LoadResult | None = None


def load() -> LoadResult:
    """Return what came of loading the library, building or loading it on the first call.

    A failure warns with :class:`NativeBackendWarning`, once per process.
    """
    global _result
    if _result is not None:
        return _result
    with _lock:
        if _result is None:
            _result = _load()
            if _result.library is None:
                warnings.warn(
                    f"the native STE backend is not available: {_result.failure}; "
                    "using the Python implementation, which gives the same numbers",
                    NativeBackendWarning,
                    stacklevel=2,
                )
    return _result


def _load() -> LoadResult:
    try:
        library = build()
        try:
            torch.ops.load_library(library)
        except OSError:  # altered on disk, or made for another torch of the same version
            library = build(rebuild=True)
            torch.ops.load_library(library)
    except (RuntimeError, OSError, ImportError) as error:
        return LoadResult(None, str(error))
    return LoadResult(library, "")
