"""List of the public names of Brevitas: ``brevitas_names.json``.

The ground of ``porting.md``.

Run with Brevitas on the path and without qat, from the root of the repository after ``make
oracle``: ``PYTHONPATH=.venv/oracle python -m tools.docs.brevitas_names``.
"""

import enum
import importlib
import inspect
import json
import pkgutil
import re
import types
import typing
from pathlib import Path

FILE = Path(__file__).with_name("brevitas_names.json")
PACKAGES = ("config", "core", "function", "inject", "nn", "proxy", "quant", "quant_tensor")
#: What ``brevitas.inject`` passes on of the package that its injectors are built on.
PASSED_ON = {"brevitas.inject": ["this", "value"]}


def public_names() -> dict[str, list[str]]:
    """Module -> classes, functions, constants and members of enums that it defines, in order."""
    brevitas = importlib.import_module("brevitas")
    found: dict[str, list[str]] = {}
    for info in pkgutil.walk_packages(brevitas.__path__, "brevitas."):
        if info.name.split(".")[1] in PACKAGES:
            names = _defined_in(importlib.import_module(info.name))
            if names := sorted({*names, *PASSED_ON.get(info.name, [])}):
                found[info.name] = names
    return found


def _defined_in(module: types.ModuleType) -> list[str]:
    source = inspect.getsource(module)
    names = []
    for name, item in vars(module).items():
        if name.startswith("_") or isinstance(item, (types.ModuleType, typing.TypeVar)):
            continue
        is_assigned = re.search(rf"^{name}\b.*=", source, re.MULTILINE)
        if getattr(item, "__module__", None) == module.__name__ or (
            isinstance(item, (bool, int, float, str)) and is_assigned
        ):
            names.append(name)
            if isinstance(item, enum.EnumMeta):
                names.extend(f"{name}.{member}" for member in item.__members__)
    return names


def version() -> str:
    """The release that is installed."""
    return str(importlib.import_module("brevitas").__version__)


def main() -> None:
    document = {"version": version(), "names": public_names()}
    FILE.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
