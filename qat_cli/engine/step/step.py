"""One optimizer step: from the objective to a change of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from qat_cli.data import WHOLE, Batches
from qat_cli.engine.parallel.gradients import sum_gradients
from qat_cli.engine.step.average import NoAverage, WeightAverage
from qat_cli.engine.step.bit_width_penalty import BitCosts, WithPenalty
from qat_cli.engine.step.compiled import compiled_objective
from qat_cli.engine.step.objective import LossFunction, make_objective
from qat_cli.engine.step.optimizer import (
    binary_weights,
    clamp_latent,
    make_optimizer,
    set_learning_rate,
)
from qat_cli.engine.step.precision import Precision
from qat_cli.engine.step.schedule import Schedule
from qat_cli.recipes import Recipe
from qat_cli.terminal.console import Console

ONE_BATCH: Sequence[Tensor | None] = (None,)


@dataclass(frozen=True)
class Step:
    """Settings and parts that every step of a run has in common.

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


def step_shares(batches: Batches, first: int, accumulate: int) -> Sequence[Tensor | None]:
    """The gradient to begin ``loss.backward`` with, for each batch of the step from ``first`` on.

    A batch counts by its images, so that the step's gradient is that of the mean over all of them.
    The last step of an epoch has the batches that are left. Where several processes make the step,
    its images are those of all, and the gradient is the sum over the processes.

    Args:
        batches: the training part.
        first: number of the step's first batch.
        accumulate: batches per optimizer step.
    Returns:
        A scalar in (0, 1] per batch, of sum 1 over all processes; ``None``, which is 1 at no cost,
        for a step of one.
    """
    if accumulate == 1 and batches.share == WHOLE:
        return ONE_BATCH
    numbers = range(first, min(first + accumulate, len(batches)))
    own, of_all = zip(*(batches.count(number) for number in numbers), strict=True)
    return list(torch.tensor(own, dtype=torch.float32).div_(sum(of_all)).to(batches.device))


def make_step(
    recipe: Recipe,
    model: nn.Module,
    batches: Batches,
    bit_costs: BitCosts | None,
    teacher: nn.Module | None,
    console: Console,
) -> Step:
    """The step that ``recipe`` describes.

    Args:
        recipe: of the run.
        model: on its device; the optimizer is over its parameters.
        batches: the training part, on the same device.
        bit_costs: of learned bit widths, if there are any.
        teacher: the model that the recipe's distillation learns from; ``None`` without one.
        console: told that the model is compiled.
    Raises:
        UserError: the device cannot compute in the precision asked for, or the model cannot be
            compiled here.
    """
    train = recipe.train
    objective = make_objective(recipe, teacher)
    if train.compile:
        objective = compiled_objective(objective, recipe, console)
    if bit_costs is not None and train.bit_width_penalty > 0:
        objective = WithPenalty(objective, bit_costs, train.bit_width_penalty)
    return Step(
        objective=objective,
        optimizer=make_optimizer(model, recipe.optimizer),
        schedule=Schedule(recipe.schedule, -(-len(batches) // train.accumulate), train.epochs),
        clip_grad_norm=recipe.optimizer.clip_grad_norm,
        latent_clip=train.latent_clip,
        latent=binary_weights(model),
        accumulate=train.accumulate,
        precision=Precision(train.precision, batches.device),
        average=NoAverage() if train.ema_decay is None else WeightAverage(train.ema_decay),
    )
