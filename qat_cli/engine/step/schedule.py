"""The learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qat_cli.recipes.schema import ScheduleConfig


@dataclass(frozen=True)
class Schedule:
    """A climb to the peak, then a decay, over ``epochs`` epochs; ``config`` names their shape.

    With ``c(x) = (1 - cos(pi x)) / 2``, from 0 to 1, for step ``s`` of ``total`` after ``w`` steps
    of warm-up, ``x = (s - w) / (total - w)``, and ``low = min(min_lr, peak)``:

    ======== ================================= =========================================
    name     ``s < w``                         ``s >= w``
    ======== ================================= =========================================
    cosine   ``peak (s + 1) / (w + 1)``        ``peak + (low - peak) c(x)``
    step     as cosine                         ``peak gamma ** (number of milestones passed)``
    constant as cosine                         ``peak``
    onecycle ``first + (peak - first) c(s/w)`` as cosine; ``first = start_factor * peak``
    ======== ================================= =========================================

    Source of the one cycle: Smith and Topin 2018, arXiv:1708.07120, there with straight lines and
    a momentum that goes the other way; the momentum stays as it is here.
    """

    config: ScheduleConfig
    steps_per_epoch: int
    epochs: int

    def lr(self, step: int, peak: float) -> float:
        """The learning rate of step ``step`` (0 is the first) where the peak is ``peak``."""
        climb, decay = SHAPES[self.config.name]
        warmup = self.config.warmup_epochs * self.steps_per_epoch
        if step < warmup:
            return climb(self, step, warmup, peak)
        total = self.steps_per_epoch * self.epochs
        done = (step - warmup) / max(1.0, total - warmup)
        return decay(self, step, done, peak)

    def _straight_climb(self, step: int, warmup: float, peak: float) -> float:
        return peak * (step + 1) / (warmup + 1)

    def _cosine_climb(self, step: int, warmup: float, peak: float) -> float:
        first = self.config.start_factor * peak
        return first + (peak - first) * _rise(step / warmup)

    def _cosine(self, step: int, done: float, peak: float) -> float:
        low = min(self.config.min_lr, peak)
        return low + (peak - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def _step(self, step: int, done: float, peak: float) -> float:
        epoch = step / self.steps_per_epoch
        passed = sum(milestone <= epoch for milestone in self.config.milestones)
        return float(peak * self.config.gamma**passed)

    def _constant(self, step: int, done: float, peak: float) -> float:
        return peak


def _rise(done: float) -> float:
    return 0.5 * (1 - math.cos(math.pi * done))


Climb = Callable[[Schedule, int, float, float], float]
Decay = Callable[[Schedule, int, float, float], float]
SHAPES: Mapping[str, tuple[Climb, Decay]] = {
    "cosine": (Schedule._straight_climb, Schedule._cosine),
    "step": (Schedule._straight_climb, Schedule._step),
    "constant": (Schedule._straight_climb, Schedule._constant),
    "onecycle": (Schedule._cosine_climb, Schedule._cosine),
}
