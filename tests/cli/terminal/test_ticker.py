"""The line of a progress bar, and where there is one."""

import io
import sys

import pytest

from qat_cli.terminal.console import Console
from qat_cli.terminal.ticker import Ticker, bar_line, duration

NOTES = ["loss 0.2762 top-1 90.19 %", "329 images/s", "2 min 21 s left"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_wide_terminal_shows_everything():
    assert bar_line("epoch 1", 50, 100, NOTES, 120) == (
        "epoch 1  ############............  50/100  "
        "loss 0.2762 top-1 90.19 %  329 images/s  2 min 21 s left"
    )


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (80, "epoch 1  #########.........  50/100  loss 0.2762 top-1 90.19 %  2 min 21 s left"),
        (50, "epoch 1  #######........  50/100  2 min 21 s left"),
        (36, "epoch 1  50/100  2 min 21 s left"),
        (12, "epoch 1  50"),
    ],
)
def test_a_narrow_terminal_shows_what_fits_and_the_time_left_longest(width, line):
    assert bar_line("epoch 1", 50, 100, NOTES, width) == line
    assert len(line) < width  # a line that fills the last column makes some terminals wrap


@pytest.mark.parametrize(("done", "marks"), [(0, 0), (99, 23), (100, 24)])
def test_the_bar_is_full_only_at_the_end(done, marks):
    assert bar_line("x", done, 100, ["now"], 100).count("#") == marks


def shown_by_ticker(monkeypatch, stream, console, seconds):
    monkeypatch.setattr(sys, "stderr", stream)
    clock = iter([0.0, *[seconds] * 10])
    monkeypatch.setattr("qat_cli.terminal.ticker.time.monotonic", lambda: next(clock))
    with Ticker(console, "epoch 1", 100) as ticker:
        ticker.update(50)
    return stream.getvalue()


def test_a_file_gets_a_plain_line_with_the_time_left(monkeypatch):
    assert shown_by_ticker(monkeypatch, io.StringIO(), Console(), 11) == (
        "epoch 1: 50/100  11 s left\n"
    )


def test_a_file_gets_no_line_before_its_time(monkeypatch):
    assert shown_by_ticker(monkeypatch, io.StringIO(), Console(), 9) == ""


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert shown_by_ticker(monkeypatch, Terminal(), Console(), 11) == "epoch 1: 50/100  11 s left\n"


def test_nothing_is_shown_when_quiet(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert shown_by_ticker(monkeypatch, Terminal(), Console(quiet=True), 11) == ""


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Ticker(Console(), "epoch 1", 100) as ticker:
        assert "epoch 1  ........................  0/100" in sys.stderr.getvalue()
        ticker.update(100)
    shown = sys.stderr.getvalue()
    assert "epoch 1  ########################  100/100" in shown
    assert shown.index("\x1b[2K", shown.index("100/100"))  # the code that erases a line


@pytest.mark.parametrize(
    ("seconds", "text"), [(41.7, "42 s"), (187, "3 min 07 s"), (7500, "2 h 05 min")]
)
def test_durations_are_written_for_people(seconds, text):
    assert duration(seconds) == text
