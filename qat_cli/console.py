"""What a command says: logs on standard error, its one answer on standard output.

With ``--json`` the answer is exactly one JSON document; without it, text for a reader. Rich output
(colour, boxes) appears only where the stream is a terminal, plain lines everywhere else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO


class Console:
    """The two output streams of one command.

    Args:
        json_output: the user asked for ``--json``; standard output then carries only the document.

    The streams are looked up when they are written to, so redirecting ``sys.stdout`` works.
    """

    def __init__(self, json_output: bool = False) -> None:
        self.json_output = json_output

    @property
    def is_terminal(self) -> bool:
        """Standard error is a terminal: rich output (progress bars, colour) may be used there."""
        return _is_terminal(sys.stderr)

    def info(self, text: str) -> None:
        """Write a line of log to standard error."""
        print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Write a line beginning with ``warning:`` to standard error."""
        _styled(f"warning: {text}", "yellow", sys.stderr)

    def error(self, text: str) -> None:
        """Write a message beginning with ``error:`` to standard error."""
        _styled(f"error: {text}", "bold red", sys.stderr)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a table to standard error; see :func:`write_table`."""
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

    def out(self, text: str) -> None:
        """Write a line of the human answer to standard output."""
        print(text, flush=True)

    def out_table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """Write a table of the human answer to standard output; see :func:`write_table`."""
        write_table(title, columns, rows, sys.stdout)

    def print_json(self, document: Any) -> None:
        """Write one JSON document to standard output.

        Raises:
            ValueError: a number is not finite (JSON has no NaN); give ``None`` instead.
        """
        print(json.dumps(document, indent=2, allow_nan=False), flush=True)


def write_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], stream: TextIO
) -> None:
    """Write a table: boxed by rich where ``stream`` is a terminal, aligned plain columns elsewhere.

    Args:
        title: a line above the table; ``""`` for none.
        columns: the headings.
        rows: as many entries each as ``columns`` has; written with ``str``.
        stream: where to write.
    """
    cells = [[str(entry) for entry in row] for row in rows]
    if _is_terminal(stream):
        _write_rich_table(title, columns, cells, stream)
        return
    widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]
    lines = [title] if title else []
    for row in [list(columns), ["-" * width for width in widths], *cells]:
        lines.append("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())
    print("\n".join(lines), file=stream, flush=True)


def _write_rich_table(
    title: str, columns: Sequence[str], cells: list[list[str]], stream: TextIO
) -> None:
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    RichConsole(file=stream).print(table)


def _styled(text: str, style: str, stream: TextIO) -> None:
    if not _is_terminal(stream):
        print(text, file=stream, flush=True)
        return
    from rich.console import Console as RichConsole

    RichConsole(file=stream).print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty()
