"""The learning rate as a function of the step, without state to save."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qat_cli.recipes.schema import ScheduleConfig


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up from 0, then the decay that ``config`` names, over ``epochs`` epochs."""

    config: ScheduleConfig
    steps_per_epoch: int
    epochs: int

    def lr(self, step: int, peak: float) -> float:
        """The learning rate of step ``step`` (0 is the first) where the peak is ``peak``."""
        warmup = self.config.warmup_epochs * self.steps_per_epoch
        if step < warmup:
            return peak * (step + 1) / (warmup + 1)
        total = self.steps_per_epoch * self.epochs
        done = (step - warmup) / max(1.0, total - warmup)
        return SHAPES[self.config.name](self, step, done, peak)

    def _cosine(self, step: int, done: float, peak: float) -> float:
        low = min(self.config.min_lr, peak)
        return low + (peak - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def _step(self, step: int, done: float, peak: float) -> float:
        epoch = step / self.steps_per_epoch
        passed = sum(milestone <= epoch for milestone in self.config.milestones)
        return float(peak * self.config.gamma**passed)

    def _constant(self, step: int, done: float, peak: float) -> float:
        return peak


SHAPES: Mapping[str, Callable[[Schedule, int, float, float], float]] = {
    "cosine": Schedule._cosine,
    "step": Schedule._step,
    "constant": Schedule._constant,
}
