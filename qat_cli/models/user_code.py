"""A model factory in the user's own Python code.

Such code runs with the user's rights, so it is loaded only when the caller says that the user
named it; a recipe or a checkpoint that mentions it is not enough.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from qat_cli.errors import UserError, did_you_mean
from qat_cli.models.timm_models import is_timm


def is_user_code(name: str) -> bool:
    """``name`` has the form ``path/file.py:factory`` or ``package.module:factory``."""
    return (":" in name or name.endswith(".py")) and not is_timm(name)


def absolute_name(name: str) -> str:
    """``name`` with the path of its file made absolute; module names are left as they are."""
    source, separator, factory = name.rpartition(":")
    if not separator or not source.endswith(".py"):
        return name
    return f"{Path(source).expanduser().absolute()}:{factory}"


def load_factory(name: str) -> Callable[..., Any]:
    """Run the file or import the module that ``name`` gives, and find its factory.

    Args:
        name: ``path/file.py:factory`` or ``package.module:factory``.
    Raises:
        UserError: no such file, module or factory, or the code fails while it is loaded.
    """
    source, separator, factory = name.rpartition(":")
    if not separator or not factory:
        raise UserError(f"model {name!r} names no factory; write {name.rstrip(':')}:FACTORY.")
    module = _load_file(Path(source)) if source.endswith(".py") else _load_module(source)
    found = getattr(module, factory, None)
    if not callable(found):
        known = _callables(module)
        raise UserError(
            f"model {name!r}: {source} has no callable {factory!r}"
            f"{did_you_mean(factory, known) or '.'} "
            f"It defines {', '.join(known) or 'none'}."
        )
    return found


def _load_file(path: Path) -> ModuleType:
    path = path.expanduser().absolute()
    if not os.path.isfile(path):
        raise UserError(f"model file {path} does not exist.")
    # A name of its own, so that two files called model.py do not replace each other.
    digest = hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()
    name = f"qat_user_model_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # the name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up there
    folder = str(path.parent)
    sys.path.insert(0, folder)  # as `python file.py` does: the file may import its neighbours
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"model file {path} fails: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    return module


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"model module {name!r} is not found ({error}); install it, "
            "or give a file: path/file.py:factory."
        ) from error
    except Exception as error:
        raise UserError(f"model module {name!r} fails: {type(error).__name__}: {error}") from error


def _callables(module: ModuleType) -> list[str]:
    own = [
        name
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    ]
    return sorted(own)
