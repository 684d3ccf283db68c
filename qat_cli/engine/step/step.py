"""One optimizer step: from the objective of its batches to a change of the weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.optim import Optimizer

from qat_cli.engine.parallel.gradients import sum_gradients
from qat_cli.engine.step.average import NoAverage
from qat_cli.engine.step.objective import LossFunction
from qat_cli.engine.step.optimizer import clamp_latent, set_learning_rate
from qat_cli.engine.step.precision import Precision
from qat_cli.engine.step.schedule import Schedule


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
        precision: what the forward pass computes with.
        average: of the weights, over the steps.
    """

    objective: LossFunction
    optimizer: Optimizer
    schedule: Schedule
    clip_grad_norm: float | None
    latent_clip: float | None
    latent: list[Tensor]
    accumulate: int = 1
    precision: Precision = field(default_factory=Precision)
    average: NoAverage = field(default_factory=NoAverage)

    def begin(self, epoch: int, batch: int) -> None:
        """Before the first batch of a step, number ``batch`` of ``epoch`` (0 is the first)."""
        number = epoch * self.schedule.steps_per_epoch + batch // self.accumulate
        set_learning_rate(self.optimizer, self.schedule, number)
        self.optimizer.zero_grad(set_to_none=True)

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The mean loss of one batch and the logits: the objective in the run's precision."""
        with self.precision.autocast():
            return self.objective(model, images, labels)

    def backward(self, loss: Tensor, share: Tensor | None) -> None:
        """Add the gradient of ``loss`` times ``share`` (``None``: 1) to those of this step."""
        self.precision.scaler.scale(loss).backward(share)

    def finish(self, model: nn.Module) -> None:
        """After the backward pass of its last batch: change the weights."""
        sum_gradients(model)
        scaler = self.precision.scaler
        if self.clip_grad_norm is not None:
            scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), self.clip_grad_norm)
        scaler.step(self.optimizer)  # not taken where float16 gradients have overflowed
        scaler.update()
        clamp_latent(self.latent, self.latent_clip)
        self.average.update()
