"""Ways in which a command ends early, with their exit codes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Wrong usage or bad input: the message says what to change. Exit code 2."""

    exit_code = 2


class WorkFailed(Exception):
    """The request was fine, the work was not (diverged, verification failed). Exit code 1."""

    exit_code = 1


class Interrupted(Exception):
    """Stopped by a signal after the state was saved. Exit code 128 + ``signal_number``.

    Args:
        message: what was saved, and how to go on.
        signal_number: 2 for Ctrl-C (exit code 130), 15 for SIGTERM (exit code 143).
    """

    def __init__(self, message: str, signal_number: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class SaidElsewhere(Exception):
    """This process ends without a word: another one of the same job says what there is to say.

    Args:
        exit_code: that of the job.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__("said by another process of the job")
        self.exit_code = exit_code


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The entry of ``known`` that looks most like ``name``, or ``None`` where none is close."""
    by_lower = {entry.lower(): entry for entry in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause to append to an error: ``"; did you mean 'x'?"``, or ``""`` where none is close."""
    found = nearest(name, known)
    return f"; did you mean {found!r}?" if found else ""
