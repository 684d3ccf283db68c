"""The memory of a training step: extrapolated figures against real ones."""

import functools

import pytest
import torch
from torch import nn

from benchmarks.allocations import peak_bytes
from qat_cli.engine.memory import estimate as memory_estimate
from qat_cli.engine.memory.estimate import (
    MemoryEstimate,
    Readings,
    estimate_evaluation,
    estimate_memory,
)
from qat_cli.engine.memory.meter import available, in_use
from qat_cli.engine.step.objective import Objective
from qat_cli.engine.step.optimizer import make_optimizer
from qat_cli.engine.step.schedule import Schedule
from qat_cli.engine.step.step import Step
from qat_cli.recipes.schema import OptimizerConfig, ScheduleConfig

CPU = torch.device("cpu")
IMAGE = (3, 16, 16)


def network():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 256, 10),
    )


def step_of(model, **config):
    schedule = Schedule(ScheduleConfig(), 10, 1)
    optimizer = make_optimizer(model, OptimizerConfig(lr=0.01, **config))
    return Step(Objective(), optimizer, schedule, None, None, [])


def real_step(images):
    torch.manual_seed(0)
    model = network()
    step = step_of(model)
    x, labels = torch.randn(images, *IMAGE), torch.zeros(images, dtype=torch.int64)

    def work():
        step.begin(0, 0)
        loss, _ = step.objective(model, x, labels)
        loss.backward()
        step.finish(model)

    return work


@pytest.mark.skipif(in_use(CPU) is None, reason="this C library does not say what is in use")
def test_the_extrapolated_peak_is_that_of_a_real_step():
    model = network()
    estimate = estimate_memory(model, step_of(model), IMAGE, 128, CPU)
    real = peak_bytes(functools.partial(real_step, 128), 2, CPU)
    # What convolutions take inside of themselves is in the real peak alone.
    assert 0.75 * real < estimate.peak(128) < 1.1 * real


def test_parts_that_do_not_depend_on_the_images_are_counted_exactly():
    model = network()
    estimate = estimate_memory(model, step_of(model, name="adam"), IMAGE, 16, CPU)
    parameters = sum(p.numel() for p in model.parameters())
    counters = 8  # of batches, in the batch norm
    assert estimate.model == 4 * (parameters + 32) + counters
    assert estimate.gradients == 4 * parameters
    steps = 4 * len(list(model.parameters()))  # Adam counts them for each parameter
    assert estimate.optimizer == 8 * parameters + steps


@pytest.mark.skipif(in_use(CPU) is None, reason="this C library does not say what is in use")
def test_evaluation_keeps_less_than_training_and_every_mode_stays():
    model = network().train()
    training = estimate_memory(model, step_of(model), IMAGE, 64, CPU)
    model[0].eval()  # as a frozen batch norm is
    evaluation = estimate_evaluation(model, IMAGE, 64, CPU)
    # The two results that a layer in the middle needs at a time, in float32.
    two_results = 64 * 2 * 16 * 256 * 4
    assert two_results * 0.9 < evaluation.step(64) < training.step(64)
    assert model.training and not model[0].training


def test_the_moment_of_the_peak_may_change_with_the_images():
    # At 1 and 2 images the gradients at the end are the most, at 100 the activations.
    small = Readings(1, kept=10, during=[10, 1000])
    large = Readings(2, kept=20, during=[20, 1000])
    estimate = MemoryEstimate(5, 5, 5, small, large)
    assert [estimate.step(n) for n in (1, 2, 100, 200)] == [1000, 1000, 1000, 2000]
    assert estimate.activations(200) == 2000 and estimate.peak(200) == 2010
    assert estimate.largest_batch(1500) == 150 and estimate.largest_batch(999) == 0


def test_without_readings_the_step_is_unknown(monkeypatch):
    monkeypatch.setattr(memory_estimate, "in_use", lambda device: None)
    model = network()
    estimate = estimate_memory(model, step_of(model), IMAGE, 8, CPU)
    assert estimate.peak(8) is estimate.activations(8) is estimate.largest_batch(10**9) is None


def test_what_is_there_is_less_by_what_is_taken():
    before = available(CPU)
    if before is None:
        pytest.skip("this system does not say what is available")
    assert 0 < before < 1 << 50
