"""Timing with a clock that the test moves by hand."""

import gc

import pytest
import torch

from benchmarks.measure import Spread, forward_backward, interleaved, ratio, spread


class Clock:
    """Seconds that pass only when the test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def work(self, seconds, log=None, name=""):
        def run():
            self.now += seconds
            if log is not None:
                log.append(name)

        return run


def test_candidates_take_turns():
    clock, log = Clock(), []
    candidates = {name: clock.work(1.0, log, name) for name in "ABC"}

    interleaved(candidates, rounds=2, warmup=1, clock=clock)

    assert log == list("ABC" * 3)


def test_times_are_seconds_per_call_of_the_timed_rounds():
    clock = Clock()
    candidates = {"slow": clock.work(3.0), "fast": clock.work(2.0)}

    times = interleaved(candidates, rounds=2, warmup=5, calls=4, clock=clock)

    assert times == {"slow": [3.0, 3.0], "fast": [2.0, 2.0]}


def test_settling_calls_come_first_in_each_turn_and_are_not_timed():
    clock, log = Clock(), []
    costs = iter([5.0, 5.0, 1.0, 5.0, 5.0, 3.0])

    def work():
        log.append(clock.now)
        clock.now += next(costs)

    times = interleaved({"only": work}, rounds=2, warmup=0, settling=2, clock=clock)

    assert len(log) == 6
    assert times == {"only": [1.0, 3.0]}


def test_the_garbage_collector_rests_while_timing_and_is_restored():
    seen = []

    interleaved({"look": lambda: seen.append(gc.isenabled())}, rounds=1, warmup=0)

    assert seen == [False]
    assert gc.isenabled()


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"calls": 0}])
def test_no_rounds_or_calls_are_refused(wrong):
    settings = {"rounds": 1, "warmup": 0, **wrong}

    with pytest.raises(ValueError, match="must be at least 1"):
        interleaved({"nothing": lambda: None}, **settings)


def test_ratio_is_taken_within_rounds():
    # The machine is 10 times slower in the second round: the ratio of each round is 2.
    assert ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == Spread(2.0, 2.0, 2.0)


def test_spread_is_median_and_quartiles():
    assert spread([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(median=3.0, low=2.0, high=4.0)


def test_spread_of_one_figure_is_that_figure():
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_ratio_needs_a_reference_for_every_time():
    with pytest.raises(ValueError, match="one per round"):
        ratio([1.0, 2.0], [1.0])


def test_gradients_do_not_add_up_over_calls():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    factor = torch.tensor(3.0, requires_grad=True)
    work = forward_backward(lambda x: x * factor, x, torch.ones(2), [factor])

    work()
    work()

    assert x.grad.tolist() == [3.0, 3.0]
    assert factor.grad.item() == 3.0
