"""The folder of one run and the places of its files."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from qat_cli.errors import UserError

RUNS = Path("runs")


@dataclass(frozen=True)
class RunFolder:
    """The files of a run below ``path``."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def metrics(self) -> Path:
        """One row of figures per epoch."""
        return self.path / "metrics.csv"

    @property
    def summary(self) -> Path:
        """The outcome of a finished run."""
        return self.path / "summary.json"

    @property
    def curves(self) -> Path:
        """Loss and accuracy over the epochs, as a picture."""
        return self.path / "curves.png"

    @property
    def confusion(self) -> Path:
        """Which class was taken for which on the test part, as a picture."""
        return self.path / "confusion.png"

    @property
    def tensorboard(self) -> Path:
        """Event files for TensorBoard, where they are asked for."""
        return self.path / "tensorboard"

    @property
    def log(self) -> Path:
        """What the command said."""
        return self.path / "log.txt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation figure."""
        return self.path / "checkpoints" / "best.pt"

    @property
    def last(self) -> Path:
        """The checkpoint that training goes on from."""
        return self.path / "checkpoints" / "last.pt"

    def epoch(self, number: int) -> Path:
        """The checkpoint of one epoch (1 is the first), where it is kept."""
        return self.path / "checkpoints" / f"epoch-{number:03d}.pt"

    def epochs(self) -> dict[int, Path]:
        """The checkpoints of single epochs that are there, by number."""
        files = self.last.parent.glob("epoch-*.pt")
        numbered = ((path.stem.removeprefix("epoch-"), path) for path in files)
        return {int(number): path for number, path in numbered if number.isdecimal()}


def create_run_folder(command: str, recipe_name: str, out: Path | None) -> RunFolder:
    """Make ``out``, or ``runs/<command>/<recipe>-NNN`` with the next free number.

    Raises:
        UserError: ``out`` is a file or a folder with something in it, or cannot be written.
    """
    try:
        if out is None:
            return _make(_new_numbered(RUNS / command, recipe_name))
        _refuse_full(out)
        return _make(out)
    except OSError as error:
        raise UserError(
            f"cannot write in {out or RUNS}: {error.strerror}; choose another folder with --out."
        ) from error


def _refuse_full(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()):
        what = "holds another run" if RunFolder(out).last.exists() else "is not empty"
        hint = f"go on with it: --resume --out {out}, or choose" if "run" in what else "choose"
        raise UserError(f"{out} {what}; {hint} another folder with --out.")


@contextmanager
def discarded_on_failure(folder: RunFolder) -> Iterator[None]:
    """Remove a folder that was just made if what happens inside this context fails.

    For the time in which inputs are looked at: a mistyped path leaves no empty run behind.
    """
    try:
        yield
    except BaseException:
        shutil.rmtree(folder.best.parent, ignore_errors=True)
        for path in (folder.recipe, folder.log):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # the user's own folder may be a mount point
            folder.path.rmdir()
        raise


def find_run_folder(command: str, recipe_name: str | None, out: Path | None) -> RunFolder:
    """The run to resume: the one in ``out``, or the newest of ``recipe_name``.

    Raises:
        UserError: there is none, or it has no checkpoint to go on from.
    """
    if out is not None:
        folder = RunFolder(out)
    elif recipe_name is None:
        raise UserError("--resume needs --out FOLDER, or --recipe NAME for the newest run of it.")
    else:
        numbered = _numbered(RUNS / command, recipe_name)
        if not numbered:
            raise UserError(
                f"there is no run of {recipe_name!r} in {RUNS / command} to resume; "
                "start one without --resume, or name its folder with --out."
            )
        folder = RunFolder(numbered[max(numbered)])
    if not os.path.isfile(folder.last):  # unlike Path.is_file, False where looking is forbidden
        raise UserError(
            f"{folder.path} has no {folder.last.relative_to(folder.path)} to resume from; "
            "start again without --resume."
        )
    if not os.access(folder.path, os.W_OK):
        raise UserError(f"cannot write in {folder.path}: no permission.")
    return folder


def has_run(command: str, recipe_name: str | None, out: Path | None) -> bool:
    """There is something for :func:`find_run_folder` to find."""
    if out is not None:
        return RunFolder(out).last.exists()
    return recipe_name is not None and bool(_numbered(RUNS / command, recipe_name))


def run_folder_of(path: Path) -> Path:
    """The folder of a run from itself or from its ``checkpoints/last.pt``.

    Raises:
        UserError: ``path`` is another file, or does not exist.
    """
    if path.is_dir():
        return path
    folder = path.absolute().parent.parent
    if path.is_file() and RunFolder(folder).last == path.absolute():
        return path.parent.parent
    what = "is not a checkpoint that a run goes on from" if path.exists() else "does not exist"
    raise UserError(
        f"--resume: {path} {what}; give the folder of a run, such as {RUNS}/train/NAME-001, or its "
        "checkpoints/last.pt."
    )


def _new_numbered(parent: Path, recipe_name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        number = max(_numbered(parent, recipe_name), default=0) + 1
        path = parent / f"{recipe_name}-{number:03d}"
        with suppress(FileExistsError):  # another run took the number a moment ago
            path.mkdir()
            return path


def _numbered(parent: Path, recipe_name: str) -> dict[int, Path]:
    pattern = re.compile(re.escape(recipe_name) + r"-(\d+)")
    entries = parent.iterdir() if parent.is_dir() else iter(())
    found = ((pattern.fullmatch(entry.name), entry) for entry in entries)
    return {int(match.group(1)): entry for match, entry in found if match}


def _make(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.best.parent.mkdir(parents=True, exist_ok=True)
    folder.log.touch()
    return folder
