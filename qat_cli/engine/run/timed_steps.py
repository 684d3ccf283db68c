"""Real training steps on a copy of a run, which itself stays as it is."""

from __future__ import annotations

import copy
import dataclasses
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from qat_cli.data import Batches
from qat_cli.engine.evaluation.metrics import Tally
from qat_cli.engine.machine import distributed
from qat_cli.engine.machine.randomness import random_states, restore_random_states
from qat_cli.engine.memory.estimate import MemoryEstimate, estimate_memory
from qat_cli.engine.run.loop import train_one_epoch
from qat_cli.engine.step.step import Step
from qat_cli.terminal.console import Console
from qat_cli.terminal.ticker import Ticker

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

    def take_steps(self, count: int, seconds: float = float("inf")) -> list[float]:
        """Take optimizer steps, over as many epochs as that needs.

        Args:
            count: how many.
            seconds: after which no further step is begun.
        Returns:
            The seconds that each took, its share of loading the images included.
        """
        taken: list[float] = []
        started = time.monotonic()

        def on_step(done: int) -> None:
            _wait_for(self.batches.device)
            taken.append(time.monotonic() - started - sum(taken))
            if len(taken) == count or sum(taken) >= seconds:
                raise _Enough

        ticker = Ticker(Console(), "trying", self.batches.images)
        epoch = 0
        try:
            while True:
                tally = Tally(self.batches.device)
                train_one_epoch(
                    self.model, self.batches, epoch, 0, self.step, tally, ticker, on_step
                )
                epoch += 1
        except _Enough:
            return taken

    def seconds_per_step(self) -> float:
        """The median over some steps, after others that warm up."""
        self.take_steps(WARM_UP_STEPS)
        return statistics.median(self.take_steps(TIMED_STEPS, PATIENCE_SECONDS))

    def memory(self) -> MemoryEstimate:
        """What a step takes with any number of images, from small ones."""
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
    states = random_states()
    try:
        own_model, own_step = copy.deepcopy((model, step))
        with distributed.alone():
            yield Trial(own_model, own_step, batches)
    finally:
        restore_random_states(states)


def memory_of_step(model: nn.Module, step: Step, batches: Batches) -> MemoryEstimate:
    """What a step of a run takes with any number of images; the run stays as it is."""
    with copied(model, step, batches) as trial:
        return trial.memory()


class _Enough(Exception):
    """As many steps as wanted are taken."""


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
