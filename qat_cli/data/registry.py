"""The data sets by name, as the files of ``sources`` declare them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from qat_cli.data import sources
from qat_cli.data.sources.source import Source


def _declared() -> Mapping[str, Source]:
    files = sorted(entry.name for entry in pkgutil.iter_modules(sources.__path__))
    modules = [importlib.import_module(f"{sources.__name__}.{name}") for name in files]
    found = [source for module in modules for source in getattr(module, "SOURCES", ())]
    return {source.name: source for source in found}


#: Every :class:`Source` that a file of ``sources`` lists in its ``SOURCES``, by name. The files
#: import torch inside of their loaders only, as completion asks for the names.
SOURCES = _declared()
