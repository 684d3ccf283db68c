"""Bytes counted as saved or alive, against counts by hand."""

import pytest
import torch

from benchmarks.allocations import MARK, peak_bytes, peak_of_events
from benchmarks.saved_bytes import saved_bytes, saved_per_element

CPU = torch.device("cpu")


def test_a_multiplication_of_two_tensors_saves_both():
    x = torch.zeros(100, requires_grad=True)
    factor = torch.zeros(100, requires_grad=True)

    assert saved_bytes(lambda x: x * factor, x) == 2 * 100 * 4


def test_a_storage_saved_twice_counts_once():
    x = torch.zeros(100, requires_grad=True)

    assert saved_bytes(lambda x: x * x, x) == 100 * 4


def test_an_addition_saves_nothing():
    x = torch.zeros(100, requires_grad=True)

    assert saved_bytes(lambda x: x + x, x) == 0


def test_relu_saves_four_bytes_per_element():
    assert saved_per_element(torch.relu, CPU) == 4.0


def test_what_does_not_grow_with_the_input_is_left_out():
    factor = torch.ones(1, requires_grad=True)  # saved itself, and makes the input be saved

    assert saved_per_element(lambda x: x * factor, CPU) == 4.0


def memory(time, size):
    return {"name": "[memory]", "ts": time, "args": {"Bytes": size}}


def test_peak_counts_what_was_alive_before_the_marked_step():
    events = [
        memory(5, -100),
        memory(1, 100),
        memory(4, 30),
        memory(6, 20),
        memory(9, 1000),  # after the step
        {"name": MARK, "ts": 3, "dur": 4},
    ]

    assert peak_of_events(events) == 130


def test_a_peak_before_the_marked_step_does_not_count():
    events = [
        memory(1, 500),
        memory(2, -500),
        memory(4, 30),
        {"name": MARK, "ts": 3, "dur": 4},
    ]

    assert peak_of_events(events) == 30


def test_a_trace_without_the_marked_step_is_refused():
    with pytest.raises(RuntimeError, match=MARK):
        peak_of_events([memory(1, 10)])


def test_peak_of_real_tensors_is_their_sum():
    elements = 1 << 20

    def build():
        kept = torch.zeros(elements)

        def step():
            first = kept + 1  # kept and first: 2 tensors
            second = first * 2  # 3 tensors, the peak
            del first
            second.add_(1)

        return step

    # The profiler may count some bytes of its own; 1 % is far less than a tensor.
    assert peak_bytes(build, warmup=1, device=CPU) == pytest.approx(3 * 4 * elements, rel=0.01)
