"""Learning rates over time; numbers worked out by hand."""

import pytest
import torch

from qat_cli.engine.step.schedule import Schedule
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


def test_one_cycle_climbs_and_falls_along_cosines():
    # 4 of 12 steps climb from 0.1 of 2.0; c(0) = 0, c(1/2) = 1/2; then 8 steps down to 0.4.
    found = rates(
        [0, 2, 4, 8, 12], 3, 4, 2.0, name="onecycle", warmup_epochs=1, start_factor=0.1, min_lr=0.4
    )
    assert found == pytest.approx([0.2, 1.1, 2.0, 1.2, 0.4])


def test_one_cycle_is_the_schedule_of_torch():
    """torch takes the first of its steps as the last of the climb begins: 4 of 13, counted so."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2.0, total_steps=13, pct_start=5 / 13, div_factor=25, final_div_factor=1e9
    )
    expected = []
    for _ in range(13):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    found = rates(range(13), 3, 4, 2.0, name="onecycle", warmup_epochs=1)
    assert found == pytest.approx(expected, abs=1e-7)


def test_one_cycle_without_a_climb_is_refused():
    with pytest.raises(ValueError, match="warmup_epochs, which is 0; set it"):
        ScheduleConfig(name="onecycle")
