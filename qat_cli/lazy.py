"""Tables of contents of packages whose files import torch only when used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence


def looked_up(package: str, files: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """A ``__getattr__`` for the ``__init__`` of ``package``.

    The names of data sets and models stand in files that import no torch. Completion reads them,
    which has no time for the other files of those packages.

    Args:
        package: its ``__name__``.
        files: dotted name of a file below the package, and the names to take from it.
    """
    homes = {name: file for file, names in files.items() for name in names}

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return find
