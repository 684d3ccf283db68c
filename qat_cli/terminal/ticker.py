"""Progress of a counted job: a bar, or lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from qat_cli.terminal import stream as terminal
from qat_cli.terminal.console import Console

LINE_SECONDS = 10.0  # a log file gets a line at most so often
BAR_SECONDS = 0.5  # a bar is redrawn at most so often
BAR_WIDTH = 24
NARROWEST_BAR = 6  # below, no bar is drawn
GAP = "  "


class Ticker:
    """A context manager; call :meth:`update` as often as you like, it costs about a clock reading.

    Args:
        console: where to write; it says whether there is a bar.
        label: what is being done.
        total: how many steps there are.
    """

    def __init__(self, console: Console, label: str, total: int) -> None:
        self.console = console
        self.label = label
        self.total = total
        self._live: Any = _rich_live() if console.has_bars else None
        self._interval = LINE_SECONDS if self._live is None else BAR_SECONDS
        self._start = time.monotonic()
        self._next = self._start + self._interval

    def __enter__(self) -> Ticker:
        if self._live is not None:
            self._live.start()
            self._draw(0, ())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def is_due(self) -> bool:
        """It is time to show something: callers whose notes are costly ask before making them."""
        return time.monotonic() >= self._next

    def update(self, done: int, notes: Sequence[str] = ()) -> None:
        """Show ``done`` of ``total`` if it is time to, or at the end.

        Args:
            done: steps finished.
            notes: stand behind the numbers, the time left last; none for the time left alone. A
                narrow terminal shows only those that fit, of which the last is kept longest.
        """
        if not self.is_due and not (self._live is not None and done == self.total):
            return
        now = time.monotonic()
        self._next = now + self._interval
        left = (now - self._start) / max(done, 1) * (self.total - done)
        notes = notes or (f"{duration(left)} left",)
        if self._live is not None:
            self._draw(done, notes)
        else:
            self.console.info(f"{self.label}: {done}/{self.total}  {GAP.join(notes)}")

    def _draw(self, done: int, notes: Sequence[str]) -> None:
        from rich.text import Text

        width = terminal.width_of(sys.stderr) or sys.maxsize
        line = bar_line(self.label, done, self.total, notes, width)
        self._live.update(Text(line, no_wrap=True), refresh=True)


def bar_line(label: str, done: int, total: int, notes: Sequence[str], width: int) -> str:
    """Label, bar, count and notes on one line of fewer than ``width`` characters.

    Notes that do not fit are left out, from the one before the last backwards; then the bar becomes
    shorter, then goes; then the line is cut.
    """
    count = f"{done}/{total}"
    kept = list(notes)
    while len(kept) > 1 and _length(label, count, *kept) + len(GAP) + NARROWEST_BAR >= width:
        del kept[-2]
    room = width - 1 - _length(label, count, *kept) - len(GAP)
    bar = [_bar(done, total, min(room, BAR_WIDTH))] if room >= NARROWEST_BAR else []
    return GAP.join([label, *bar, count, *kept])[: width - 1]


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 07 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _length(*parts: str) -> int:
    return len(GAP.join(parts))


def _bar(done: int, total: int, width: int) -> str:
    full = width * done // max(total, 1)
    return "#" * full + "." * (width - full)


def _rich_live() -> Any:  # rich is imported late
    from rich.console import Console as RichConsole
    from rich.live import Live

    # What is printed meanwhile appears above the line; the line goes when the job is over.
    return Live(console=RichConsole(stderr=True), transient=True, auto_refresh=False)
