"""Long answers, a screen at a time.

Not click's ``echo_via_pager``: Typer carries click without it, and it would give ``less`` none of
the options below.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

DEFAULT_PAGERS = ("less", "more")
LESS_OPTIONS = "FRX"  # leave if it fits, keep colour, keep the text on the screen afterwards


def show(text: str, height: int) -> None:
    """Write ``text`` to standard output, through a pager where it is taller than the terminal.

    The pager is ``$PAGER``, else ``less`` or ``more``; where there is none, or ``$PAGER`` is empty
    or ``cat``, the text is written as it is.

    Args:
        text: ends with a newline.
        height: lines of the terminal.
    """
    command = pager_command() if text.count("\n") >= height else []
    if not command or not _pipe(command, text):
        sys.stdout.write(text)
        sys.stdout.flush()


def pager_command() -> list[str]:
    """The words of the pager's command; none where there is no pager or none is wanted."""
    named = os.environ.get("PAGER")
    words = shlex.split(named) if named is not None else _first_installed()
    return [] if words in ([], ["cat"]) else words


def _first_installed() -> list[str]:
    return [name for name in DEFAULT_PAGERS if shutil.which(name)][:1]


def _pipe(command: list[str], text: str) -> bool:
    """Hand ``text`` to the pager and wait; false where it cannot be started."""
    environment = {"LESS": LESS_OPTIONS, **os.environ}
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, text=True)
    except OSError:
        return False
    unread: str | None = text
    while True:
        try:
            process.communicate(unread)  # a reader that has seen enough is no error
            return True
        except KeyboardInterrupt:  # meant for the pager, which stays
            unread = None
