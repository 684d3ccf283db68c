"""Text files of a run folder: recipe and summary."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qat_cli.checkpoint import write_atomically
from qat_cli.models import is_user_code
from qat_cli.recipes import Recipe, dump_recipe


def write_recipe(path: Path, recipe: Recipe, command: str) -> None:
    """Write the resolved recipe with the command that reruns it in a comment above.

    Raises:
        WorkFailed: the file cannot be written.
    """
    model = f" --model {recipe.model.name}" if is_user_code(recipe.model.name) else ""
    header = f"# The resolved recipe of this run. Again: qat {command} --recipe {path}{model}\n"
    write_atomically(path, (header + dump_recipe(recipe)).encode())


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write ``summary`` as JSON; numbers that are not finite become ``null``.

    Raises:
        WorkFailed: the file cannot be written.
    """
    write_atomically(path, (json.dumps(finite(summary), indent=2) + "\n").encode())


def finite(value: Any) -> Any:
    """A copy of nested plain values in which NaN and infinities, unknown to JSON, are ``None``."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value
