"""Progress of a counted job: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from qat_cli.console import Console

LINE_SECONDS = 10.0  # a log file gets a line at most so often
BAR_SECONDS = 0.5  # a bar is redrawn at most so often


class Ticker:
    """A context manager; call :meth:`update` as often as you like, it costs about a clock reading.

    Args:
        console: where to write; standard error decides between bar and lines.
        label: what is being done.
        total: how many steps there are.
    """

    def __init__(self, console: Console, label: str, total: int) -> None:
        self.console = console
        self.label = label
        self.total = total
        self._bar = _rich_bar(label, total) if console.is_terminal else None
        self._interval = BAR_SECONDS if console.is_terminal else LINE_SECONDS
        self._start = time.monotonic()
        self._next = self._start + self._interval

    def __enter__(self) -> Ticker:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def is_due(self) -> bool:
        """It is time to show something: callers whose note is costly ask before making it."""
        return time.monotonic() >= self._next

    def update(self, done: int, note: str = "") -> None:
        """Show ``done`` of ``total`` if it is time to, or at the end.

        Args:
            done: steps finished.
            note: stands behind the numbers; ``""`` for the time left.
        """
        if not self.is_due and not (self._bar is not None and done == self.total):
            return
        now = time.monotonic()
        self._next = now + self._interval
        note = note or f"{duration((now - self._start) / max(done, 1) * (self.total - done))} left"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, note=note, refresh=True)
        else:
            self.console.info(f"{self.label}: {done}/{self.total}  {note}")


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 07 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _rich_bar(label: str, total: int):  # type: ignore[no-untyped-def]  # rich is imported late
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        console=RichConsole(stderr=True),
        transient=True,
        auto_refresh=False,
    )
    bar.add_task(label, total=total, note="")
    return bar
