"""``--resume``: alone, with a run, or with ``auto``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qat_cli.app.help import Command
from qat_cli.errors import UserError

if TYPE_CHECKING:
    from qat_cli.report import RunFolder

RESUME = "--resume"
WITHOUT_VALUE = ""
AUTO = "auto"


class ResumableCommand(Command):
    """A command whose ``--resume`` may stand without a value.

    The word behind it is its value unless that is an option or has the form ``KEY=VALUE``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_with_value(args)))


def _with_value(args: list[str]) -> Iterator[str]:
    for word, following in zip_longest(args, args[1:], fillvalue="--"):
        stands_alone = word == RESUME and (following.startswith("-") or "=" in following)
        yield f"{RESUME}={WITHOUT_VALUE}" if stands_alone else word


def folder_to_resume(resume: str, recipe_name: str | None, out: Path | None) -> RunFolder | None:
    """The run that ``--resume`` means; ``None`` where ``auto`` finds none.

    Args:
        resume: the option's value, :data:`WITHOUT_VALUE` where it stands alone.
        recipe_name: of ``--recipe``, if given.
        out: ``--out``, if given.
    Raises:
        UserError: there is no such run, it cannot be resumed, or the options contradict.
    """
    from qat_cli.report import find_run_folder, has_run, run_folder_of

    if resume == AUTO:
        if recipe_name is None and out is None:
            raise UserError("--resume auto needs --recipe NAME or --out FOLDER.")
        if not has_run("train", recipe_name, out):
            return None
    elif resume != WITHOUT_VALUE:
        if out is not None:
            raise UserError("give the run to go on with to --resume or to --out, not to both.")
        out = run_folder_of(Path(resume).expanduser())
    return find_run_folder("train", recipe_name, out)
