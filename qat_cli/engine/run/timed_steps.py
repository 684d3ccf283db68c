"""Real training steps on a copy of a run, timed and measured."""

from __future__ import annotations

import copy
import dataclasses
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count, islice

import torch
from torch import nn

from qat_cli.data import Batches
from qat_cli.engine.machine import distributed
from qat_cli.engine.machine.randomness import kept_random_states
from qat_cli.engine.memory.estimate import MemoryEstimate, estimate_memory
from qat_cli.engine.run.loop import Done, train_epoch
from qat_cli.engine.step.step import Step

WARM_UP_STEPS = 3  # the first ones allocate, and collect statistics
TIMED_STEPS = 5
PATIENCE_SECONDS = 30.0  # after which no further step is timed


@dataclass(frozen=True)
class Trial:
    """A model with its optimizer and batches, to take steps with.

    Args:
        model: on its device; changed by the steps.
        step: over the parameters of ``model``.
        batches: the training part.
    """

    model: nn.Module
    step: Step
    batches: Batches

    def steps(self) -> Iterator[Done]:
        """Optimizer steps without end, over one epoch after the other."""
        epochs = (train_epoch(self.model, self.batches, self.step, epoch) for epoch in count())
        return chain.from_iterable(epochs)

    def seconds_per_step(self) -> float:
        """The median over some steps, each with loading its images, after others that warm up."""
        for _ in islice(self.steps(), WARM_UP_STEPS):
            pass
        taken: list[float] = []
        began = before = time.monotonic()
        for _ in islice(self.steps(), TIMED_STEPS):
            _wait_for(self.batches.device)
            now = time.monotonic()
            taken.append(now - before)
            before = now
            if now - began >= PATIENCE_SECONDS:
                break
        return statistics.median(taken)

    def memory(self) -> MemoryEstimate:
        """The memory of a step with any number of images, from small ones."""
        batches, shape = self.batches, self.batches.part.images.shape
        self.model.train()
        return estimate_memory(self.model, self.step, shape, batches.batch_size, batches.device)

    def with_batches_of(self, images: int, accumulate: int) -> Trial:
        """The same with batches of another size, and as many of them per step."""
        batches = dataclasses.replace(self.batches, batch_size=images)
        return Trial(self.model, dataclasses.replace(self.step, accumulate=accumulate), batches)


@contextmanager
def copied(model: nn.Module, step: Step, batches: Batches) -> Iterator[Trial]:
    """A trial on copies of ``model`` and ``step``; random numbers go on afterwards as before."""
    with kept_random_states():
        own_model, own_step = copy.deepcopy((model, step))
        with distributed.alone():
            yield Trial(own_model, own_step, batches)


def memory_of_step(model: nn.Module, step: Step, batches: Batches) -> MemoryEstimate:
    """The memory of a step of a run with any number of images; the run stays as it is."""
    with copied(model, step, batches) as trial:
        return trial.memory()


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
