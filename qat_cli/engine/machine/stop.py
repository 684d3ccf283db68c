"""Ctrl-C and SIGTERM, granted between two training steps.

Where several processes work together, the wish of one is that of all: they stop after the same
step.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import torch

from qat_cli.app.launcher import LAUNCHER
from qat_cli.engine.machine import distributed

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """The loop was left between two steps because the user asked for it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number


class StopSignals:
    """While this context is open the first signal is noted, a second Ctrl-C interrupts at once.

    Outside the main thread, where Python has no signal handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._launcher = os.environ.get(LAUNCHER)
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def agree(self) -> int | None:
        """To be called by all processes between two steps: the signal that any of them has got."""
        if self._launcher is not None and str(os.getppid()) != self._launcher:
            self.received = signal.SIGTERM  # nobody is left to pass a signal on
        if distributed.size() == 1:
            return self.received
        found = int(distributed.largest(torch.tensor(self.received or 0)))
        return found or None

    def check(self) -> None:
        """To be called by all processes between two steps.

        Raises:
            Stopped: a signal has come.
        """
        agreed = self.agree()
        if agreed is not None:
            raise Stopped(agreed)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number
