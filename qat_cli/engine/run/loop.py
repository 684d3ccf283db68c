"""The two loops: one epoch of training, one pass of evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qat.components import set_progress
from qat_cli.data import Batches
from qat_cli.engine.evaluation.diagnosis import ADVICE, find_non_finite
from qat_cli.engine.evaluation.metrics import Metrics, Tally
from qat_cli.engine.machine import distributed
from qat_cli.engine.memory.advice import evaluation_explained
from qat_cli.engine.step.accumulation import step_shares
from qat_cli.engine.step.phases import AS_BUILT, Phase
from qat_cli.engine.step.precision import Precision
from qat_cli.engine.step.step import Step
from qat_cli.errors import WorkFailed
from qat_cli.terminal.console import Console
from qat_cli.terminal.ticker import Ticker


def train_one_epoch(
    model: nn.Module,
    batches: Batches,
    epoch: int,
    first_batch: int,
    step: Step,
    tally: Tally,
    ticker: Ticker,
    on_step: Callable[[int], None],
    phase: Phase = AS_BUILT,
) -> None:
    """Train on the batches of ``epoch`` from ``first_batch`` on.

    Args:
        model: is put into training mode; quantizers whose gradient changes over the training are
            told how much of it is over.
        batches: the training part.
        epoch: number of the epoch, 0 is the first; chooses order, augmentation, learning rate.
        first_batch: batches of this epoch that were done before, in whole optimizer steps.
        step: the objective and how its gradient becomes a change of the weights.
        tally: counts loss and hits of the batches as they were when trained on.
        ticker: says when it is time for a look at a tally that is on a GPU.
        on_step: called after each optimizer step with the number of batches done; may raise to
            stop there.
        phase: says what is held in this epoch.
    Raises:
        WorkFailed: the loss is not finite; names the first layer that is not. On a CPU it is seen
            before the step is taken, on a GPU when the ticker is due or the epoch over.
    """
    model.train()
    phase.set_modes(model)
    step.average.follow(model)
    set_progress(model, epoch / step.schedule.epochs)
    looks_at_each = batches.device.type == "cpu"  # elsewhere looking means waiting
    done = first_batch
    stream = batches.epoch(epoch, first_batch)
    while done < len(batches):
        shares = step_shares(batches, done, step.accumulate)
        step.begin(epoch, done)
        for share, (images, labels) in zip(shares, stream, strict=False):  # the stream goes on
            loss, logits = step.loss(model, images, labels)
            if looks_at_each:
                check_finite(loss.item(), model, images, epoch, done, step.precision)
            step.backward(loss, share)
            tally.add(loss, logits, labels)
            done += 1
        step.finish(model)
        if not looks_at_each and (ticker.is_due or done == len(batches)):
            train_loss = tally.metrics().loss
            check_finite(train_loss, model, images, epoch, done - 1, step.precision)
        on_step(done)


def check_finite(
    loss: float, model: nn.Module, images: Tensor, epoch: int, batch: int, precision: Precision
) -> None:
    """Raise :class:`WorkFailed` if ``loss`` is NaN or infinite, naming what went wrong first."""
    if math.isfinite(loss):
        return
    with precision.autocast(), distributed.alone():  # others may not have gone wrong
        where = find_non_finite(model, images)
    raise WorkFailed(
        f"training diverged: the loss is {loss} in epoch {epoch + 1}, batch {batch + 1}; "
        f"{where}. {ADVICE}"
    )


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Batches,
    console: Console,
    label: str = "evaluating",
    on_batch: Callable[[], None] = lambda: None,
    tally: Tally | None = None,
) -> Metrics:
    """Loss and accuracy over all batches, in evaluation mode; the mode is restored.

    Args:
        model: the classifier.
        batches: in order, unchanged.
        console: shows progress under ``label``.
        on_batch: called after each batch, as often in every process; may raise to stop there.
        tally: counts instead of a plain one.
    Returns:
        Those of the batches of all processes.
    Raises:
        WorkFailed: memory runs out; says which batch size would fit.
    """
    was_training = model.training
    model.eval()
    tally = tally or Tally(batches.device)
    try:
        with (
            evaluation_explained(model, batches, "train.eval_batch_size"),
            Ticker(console, label, batches.images) as ticker,
        ):
            for images, labels in batches.epoch():
                logits = model(images)
                tally.add(F.cross_entropy(logits, labels), logits, labels)
                ticker.update(min(tally.images * batches.share.count, batches.images))
                on_batch()
            for _ in range(batches.rounds - len(batches)):  # others have one more
                on_batch()
    finally:
        model.train(was_training)
    return tally.of_all_processes().metrics()
