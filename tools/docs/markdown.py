"""Markdown as GitHub reads it, for the generated pages."""

import re
import textwrap
from collections.abc import Mapping, Sequence


def text_of(docstring: str) -> str:
    """Words of a docstring: code in single backticks, references as code, stars as they are."""
    plain = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", docstring.replace("``", "`"))
    pieces = plain.split("`")
    pieces[::2] = [piece.replace("*", r"\*") for piece in pieces[::2]]
    return "`".join(pieces)


def cell(text: str) -> str:
    """``text`` for a cell of a table, with its bars as they are."""
    return text_of(text).replace("|", r"\|")


def wrapped(text: str) -> str:
    """``text`` as a paragraph."""
    return textwrap.fill(text_of(text), 100, break_long_words=False, break_on_hyphens=False)


def table(columns: Mapping[str, Sequence[str]]) -> str:
    """A table of ``columns``, heading -> cells, ending in a line break."""
    rows = [list(columns), ["---"] * len(columns), *map(list, zip(*columns.values(), strict=True))]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
