"""The command to run next, which measures a run's checkpoint."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qat_cli.recipes import Recipe


def next_command(checkpoint: Path, recipe: Recipe) -> str:
    """``qat eval`` on a checkpoint, naming again a model of the user's own, whose code it runs."""
    from qat_cli.models import is_user_code

    words = ["qat", "eval", "--checkpoint", str(checkpoint)]
    name = recipe.model.name
    return shlex.join([*words, "--model", name] if is_user_code(name) else words)
