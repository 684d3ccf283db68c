"""One optimizer step: from the objective of its batches to a change of the weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer

from qat_cli.engine.objective import LossFunction
from qat_cli.engine.optimizer import clamp_latent, set_learning_rate
from qat_cli.engine.schedule import Schedule


@dataclass(frozen=True)
class Step:
    """What every step of a run has in common.

    Args:
        objective: is minimised.
        optimizer: over the model's parameters.
        schedule: learning rate of each step.
        clip_grad_norm: largest norm of the whole gradient; ``None`` for no limit.
        latent_clip: bound of ``latent`` after each step; ``None`` for none.
        latent: weights of binary layers.
        accumulate: batches per step.
    """

    objective: LossFunction
    optimizer: Optimizer
    schedule: Schedule
    clip_grad_norm: float | None
    latent_clip: float | None
    latent: list[Tensor]
    accumulate: int = 1

    def begin(self, epoch: int, batch: int) -> None:
        """Before the first batch of a step, number ``batch`` of ``epoch`` (0 is the first)."""
        number = epoch * self.schedule.steps_per_epoch + batch // self.accumulate
        set_learning_rate(self.optimizer, self.schedule, number)
        self.optimizer.zero_grad(set_to_none=True)

    def finish(self, model: nn.Module) -> None:
        """After the backward pass of its last batch: change the weights."""
        if self.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), self.clip_grad_norm)
        self.optimizer.step()
        clamp_latent(self.latent, self.latent_clip)
