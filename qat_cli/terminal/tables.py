"""Tables as lines of text.

Columns are aligned and folded to the width of a terminal, or become a list.
In a file nothing is folded. On a terminal the widest columns are folded at spaces until the table
fits. Where a column would become too narrow to read, every row becomes a paragraph instead.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

GAP = 2  # spaces between columns
NARROWEST = 14  # columns of text below this are no longer readable
EMPTY = ("", "-")  # cells that a paragraph leaves out


def table_lines(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], width: int | None
) -> list[str]:
    """The lines of a table.

    Args:
        title: a line above the table; ``""`` for none.
        columns: the headings; the first column names its row and is never folded.
        rows: as many entries each as ``columns`` has; written with ``str``.
        width: columns of the terminal; ``None`` for no limit.
    """
    cells = [[str(entry) for entry in row] for row in rows]
    widths = _widths(columns, cells, width)
    body = (
        _paragraphs(columns, cells, width) if widths is None else _aligned(columns, cells, widths)
    )
    return [title, *body] if title else body


def folded_text(text: str, width: int | None) -> str:
    """``text`` with every line folded at spaces to ``width`` characters, further lines indented.

    ``None`` is no limit. Words that are longer stay whole: a path can be copied only so.
    """
    if width is None:
        return text
    return "\n".join(
        line for whole in text.split("\n") for line in _hanging("", whole, " " * GAP, width)
    )


def _widths(columns: Sequence[str], cells: list[list[str]], limit: int | None) -> list[int] | None:
    """Width of each column, ``None`` where they cannot stand side by side."""
    by_column = list(zip(columns, *cells, strict=True))
    widths = [max(map(len, entries)) for entries in by_column]
    if limit is None:
        return widths
    words = [
        max(len(word) for entry in entries for word in entry.split() or [""])
        for entries in by_column
    ]
    least = [widths[0], *(min(word, NARROWEST) for word in words[1:])]
    room = limit - GAP * (len(widths) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max(range(len(widths)), key=lambda column: widths[column] - least[column])
        widths[widest] -= 1
    return widths


def _aligned(columns: Sequence[str], cells: list[list[str]], widths: list[int]) -> list[str]:
    rule = ["-" * width for width in widths]
    return [line for row in [list(columns), rule, *cells] for line in _folded(row, widths)]


def _folded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    parts = [
        textwrap.wrap(cell, width, break_on_hyphens=False) if len(cell) > width else [cell]
        for cell, width in zip(row, widths, strict=True)
    ]
    lines = []
    for number in range(max(map(len, parts))):
        line = [part[number] if number < len(part) else "" for part in parts]
        lines.append(
            (" " * GAP).join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
        )
    return lines


def _paragraphs(columns: Sequence[str], cells: list[list[str]], limit: int | None) -> list[str]:
    indent = max(map(len, columns[1:]), default=0) + 2 * GAP
    lines = []
    for name, *rest in cells:
        lines.append(name)
        for heading, cell in zip(columns[1:], rest, strict=True):
            if cell not in EMPTY:
                start = (" " * GAP + heading).ljust(indent)
                lines += _hanging(start, cell, " " * indent, limit or 0)
    return lines


def _hanging(start: str, text: str, indent: str, width: int) -> list[str]:
    width = max(width, len(indent) + NARROWEST)
    if len(start) + len(text) <= width:
        return [start + text]  # as it is, with its spaces
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
