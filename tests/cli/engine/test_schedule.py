"""Learning rates over time; numbers worked out by hand."""

import pytest

from qat_cli.engine.schedule import Schedule
from qat_cli.recipes.schema import ScheduleConfig


def rates(steps, epochs=10, steps_per_epoch=10, peak=1.0, **config):
    schedule = Schedule(ScheduleConfig(**config), steps_per_epoch, epochs)
    return [schedule.lr(step, peak) for step in steps]


def test_the_cosine_begins_at_the_peak_is_halved_in_the_middle_and_ends_low():
    assert rates([0, 50, 100], min_lr=0.1) == pytest.approx([1.0, 0.55, 0.1])


def test_warm_up_climbs_in_equal_steps_to_the_peak():
    assert rates([0, 1, 2, 3], steps_per_epoch=3, warmup_epochs=1, name="constant") == (
        pytest.approx([0.25, 0.5, 0.75, 1.0])
    )


def test_milestones_lower_the_rate_by_gamma():
    steps = [29, 30, 59, 60]
    found = rates(steps, name="step", milestones=[3, 6], gamma=0.5, peak=2.0)
    assert found == pytest.approx([2.0, 1.0, 1.0, 0.5])


def test_a_peak_below_the_minimum_is_not_raised():
    assert rates([0, 50, 100], min_lr=0.1, peak=0.01) == pytest.approx([0.01] * 3)


def test_a_run_that_is_all_warm_up_is_fine():
    found = rates(range(10), epochs=1, warmup_epochs=5)
    assert found == sorted(found) and found[-1] < 1
