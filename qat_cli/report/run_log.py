"""Console of a run that also writes ``log.txt``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from qat_cli.errors import WorkFailed
from qat_cli.terminal.console import Console, write_table


class RunLog(Console):
    """A console that appends every line, with the time, and every table to ``path``.

    The file is complete also where ``console`` is quiet.

    Raises:
        WorkFailed: the file cannot be written.
    """

    def __init__(self, console: Console, path: Path) -> None:
        super().__init__(console.json_output, console.quiet)
        self.path = path

    def info(self, text: str) -> None:
        """Write a line to the log and, unless quiet, to standard error."""
        super().info(text)
        self._append(text)

    def warn(self, text: str) -> None:
        """Write a warning to standard error and to the log."""
        super().warn(text)
        self._append(f"warning: {text}")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a table to the log and, unless quiet, to standard error."""
        super().table(title, columns, rows)
        self._append_with(lambda stream: write_table(title, columns, rows, stream))

    def note(self, text: str) -> None:
        """Write a line to the log alone."""
        self._append(text)

    def _append(self, text: str) -> None:
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}"
        self._append_with(lambda stream: print(line, file=stream))

    def _append_with(self, write: Callable[[TextIO], None]) -> None:
        try:
            with open(self.path, "a", encoding="utf-8") as stream:
                write(stream)
        except OSError as error:
            raise WorkFailed(f"cannot write {self.path}: {error.strerror}.") from error
