"""Abilities of the stream that is written to.

A file shows nothing but text, a terminal more.
"""

from __future__ import annotations

import os
import shutil
from typing import TextIO


def is_terminal(stream: TextIO) -> bool:
    """Somebody is looking at ``stream`` as it is written."""
    return stream.isatty()


def can_redraw(stream: TextIO) -> bool:
    """A line already written can be replaced: a terminal that knows cursor movement."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def has_colour(stream: TextIO) -> bool:
    """Colour may be used: a terminal that knows it, and ``NO_COLOR`` does not forbid it."""
    return can_redraw(stream) and not os.environ.get("NO_COLOR")


def width_of(stream: TextIO) -> int | None:
    """Columns of the terminal, as ``COLUMNS`` says or as it is; ``None`` for files and pipes."""
    return shutil.get_terminal_size().columns if is_terminal(stream) else None


def height_of(stream: TextIO) -> int | None:
    """Lines of the terminal; ``None`` for files and pipes."""
    return shutil.get_terminal_size().lines if is_terminal(stream) else None
