"""Signals as wishes."""

import signal

import pytest

from qat_cli.engine.machine.stop import Stopped, StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_granted_between_two_steps(number):
    with StopSignals() as stop:
        stop.check()
        signal.raise_signal(number)  # nothing happens in the middle of a step
        with pytest.raises(Stopped) as caught:
            stop.check()
    assert caught.value.signal_number == number


def test_a_second_ctrl_c_does_not_wait():
    with StopSignals(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopSignals():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
