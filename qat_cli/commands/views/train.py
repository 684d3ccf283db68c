"""Answers of ``qat train``: its purpose, and how a run ended."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qat_cli.commands.views.next_command import next_command
from qat_cli.terminal import stream as terminal
from qat_cli.terminal.console import Console
from qat_cli.terminal.tables import table_lines
from qat_cli.terminal.ticker import duration

if TYPE_CHECKING:
    from qat_cli.engine import FinishedRun

WHAT_IT_DOES = """\
qat train builds the model that a recipe names, quantizes it as the recipe says, trains it, keeps
the checkpoint that is best on a validation part, and measures that one on the test part.
Everything goes into a new folder below runs/train."""
EXAMPLES = """\
for example:
  qat train --recipe binary_resnet
  qat train --recipe resnet_w4a4 --model my_model.py:make --weights float.pt --data images/
more: qat train --help, qat recipes show NAME"""


def which_recipe(overrides: Sequence[str]) -> str:
    """Explain the command to somebody who named no recipe, and offer those that ship.

    Args:
        overrides: as typed; a recipe may be among them.
    """
    from qat_cli.recipes import list_recipes, load_recipe

    asks = "which recipe? Give --recipe NAME, or --recipe FILE for your own."
    for text in overrides:
        if "=" not in text:
            return f"which recipe? Did you mean: qat train --recipe {shlex.quote(text)}"
    rows = [(name, load_recipe(name).description) for name in list_recipes()]
    recipes = table_lines("", ("recipe", "what it gives"), rows, terminal.width_of(sys.stderr))
    return "\n\n".join([asks, WHAT_IT_DOES, "\n".join(recipes), EXAMPLES])


def show(finished: FinishedRun, console: Console) -> None:
    """The answer of the command."""
    lines = [f"{label:<12}{text}" for label, text in _closing_lines(finished)]
    console.emit(finished.summary.to_json(), lambda: console.out("\n".join(["", *lines])))


def _closing_lines(finished: FinishedRun) -> list[tuple[str, str]]:
    summary, folder, train = finished.summary, finished.folder, finished.recipe.train
    val, test, as_float = summary.val, summary.test, summary.float_test
    assert val is not None
    lines = [
        (
            "best epoch",
            f"{summary.best_epoch} of {summary.epochs_trained}, chosen by validation: "
            f"top-1 {val.top1:.2f} % of {val.images} images",
        ),
        (
            "test",
            f"top-1 {test.top1:.2f} %, top-5 {test.top5:.2f} %, loss {test.loss:.4f} "
            f"({test.images} images)",
        ),
    ]
    if as_float is not None:
        lines.append(
            (
                "float",
                f"top-1 {as_float.top1:.2f} % before quantization: the quantized model has "
                f"{test.top1 - as_float.top1:+.2f}",
            )
        )
    if summary.stopped_early:
        lines.append(
            (
                "stopped",
                f"early, after {summary.epochs_trained} of {train.epochs} epochs: no higher "
                f"validation top-1 in {train.early_stopping_patience}",
            )
        )
    lines += [
        ("time", duration(summary.seconds)),
        ("checkpoint", str(folder.best)),
        ("curves", str(folder.curves)),
        ("confusion", str(folder.confusion)),
    ]
    if train.logger == "tensorboard":
        lines.append(("tensorboard", shlex.join(["tensorboard", "--logdir", str(folder.path)])))
    return [*lines, ("next", next_command(folder.best, finished.recipe))]
