"""The two streams of a command: log and answer.

Logs go to standard error, the one answer to standard output.
With ``--json`` the answer is exactly one JSON document; without it, text for a reader. With
``--quiet`` only warnings and errors are logged. Colour appears only where the stream is a terminal
that has it, long answers are paged only on a terminal; files and pipes get plain lines.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from qat_cli.terminal import pager
from qat_cli.terminal import stream as terminal
from qat_cli.terminal.tables import folded_text, table_lines


class Console:
    """The two output streams of one command.

    Args:
        json_output: the user asked for ``--json``; standard output then carries only the document.
        quiet: the user asked for ``--quiet``; standard error then carries warnings and errors only.

    The streams are looked up when they are written to, so redirecting ``sys.stdout`` works.
    """

    def __init__(self, json_output: bool = False, quiet: bool = False) -> None:
        self.json_output = json_output
        self.quiet = quiet
        self._page: io.StringIO | None = None

    @property
    def has_bars(self) -> bool:
        """Progress is shown as a bar that is redrawn; otherwise as a line now and then."""
        return not self.quiet and terminal.can_redraw(sys.stderr)

    def info(self, text: str) -> None:
        """Write a line of log to standard error, folded where a terminal is narrower."""
        if not self.quiet:
            folded = folded_text(text, terminal.width_of(sys.stderr))
            print(folded, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Write a line beginning with ``warning:`` to standard error."""
        _styled(f"warning: {text}", "yellow", sys.stderr)

    def error(self, text: str) -> None:
        """Write a message beginning with ``error:`` to standard error."""
        _styled(f"error: {text}", "bold red", sys.stderr)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a table to standard error; see :func:`write_table`."""
        if not self.quiet:
            write_table(title, columns, rows, sys.stderr)

    def emit(self, document: Any, human: Callable[[], None]) -> None:
        """Give the answer of the command: ``document`` under ``--json``, else call ``human``.

        Args:
            document: plain dicts, lists, strings and numbers.
            human: prints the same answer for a reader, with :meth:`out` and :meth:`out_table`.
        """
        if self.json_output:
            self.print_json(document)
        else:
            human()

    def emit_long(self, document: Any, human: Callable[[], None]) -> None:
        """As :meth:`emit`; what is taller than the terminal goes through a pager."""
        height = terminal.height_of(sys.stdout)
        if self.json_output or height is None:
            self.emit(document, human)
            return
        self._page = io.StringIO()
        try:
            human()
            text = self._page.getvalue()
        finally:
            self._page = None
        pager.show(text, height)

    def out(self, text: str) -> None:
        """Write a line of the human answer to standard output."""
        print(text, file=self._page or sys.stdout, flush=True)

    def out_table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """Write a table of the human answer to standard output; see :func:`write_table`."""
        self.out("\n".join(table_lines(title, columns, rows, terminal.width_of(sys.stdout))))

    def print_json(self, document: Any) -> None:
        """Write one JSON document to standard output.

        Raises:
            ValueError: a number is not finite (JSON has no NaN); give ``None`` instead.
        """
        print(json.dumps(document, indent=2, allow_nan=False), flush=True)


def write_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], stream: TextIO
) -> None:
    """Write a table in aligned columns, folded to its width where ``stream`` is a terminal.

    Args:
        title: a line above the table; ``""`` for none.
        columns: the headings.
        rows: as many entries each as ``columns`` has; written with ``str``.
        stream: where to write.
    """
    lines = table_lines(title, columns, rows, terminal.width_of(stream))
    print("\n".join(lines), file=stream, flush=True)


def _styled(text: str, style: str, stream: TextIO) -> None:
    if not terminal.has_colour(stream):
        print(text, file=stream, flush=True)
        return
    from rich.console import Console as RichConsole

    first, *rest = text.split("\n")  # the rest of a long message is easier to read plain
    rich = RichConsole(file=stream)
    rich.print(first, style=style, markup=False, highlight=False, soft_wrap=True)
    for line in rest:
        print(line, file=stream)
    stream.flush()
