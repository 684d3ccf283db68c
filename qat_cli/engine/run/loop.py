"""The training loop: one epoch as a generator of optimizer steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qat.components import set_progress
from qat_cli.data import Batches
from qat_cli.engine.evaluation.diagnosis import check_finite
from qat_cli.engine.step.phases import AS_BUILT, Phase
from qat_cli.engine.step.step import Step, step_shares

LOOK_SECONDS = 2.0  # between two looks at the loss where looking means waiting for a GPU


@dataclass(frozen=True)
class Done:
    """An optimizer step that was taken.

    Args:
        batches: of this epoch that are done, those of this step among them.
        outputs: mean loss, logits and labels of each batch of the step, before it was taken.
    """

    batches: int
    outputs: list[tuple[Tensor, Tensor, Tensor]]


def train_epoch(
    model: nn.Module,
    batches: Batches,
    step: Step,
    epoch: int,
    first: int = 0,
    phase: Phase = AS_BUILT,
) -> Iterator[Done]:
    """Train on the batches of ``epoch`` from number ``first`` on, one optimizer step at a time.

    Args:
        model: is put into training mode; quantizers whose gradient changes over the training are
            told how much of it is over.
        batches: the training part.
        step: the objective, and how its gradient becomes a change of the weights.
        epoch: 0 is the first; chooses order, augmentation and learning rate.
        first: batches of this epoch that were done before, in whole optimizer steps.
        phase: says what is held in this epoch.
    Yields:
        After each step. Who stops asking has taken as many steps as were asked for.
    Raises:
        WorkFailed: the loss is not finite; names the first layer that is not. On a CPU it is seen
            before the step is taken, on a GPU now and then and when the epoch is over.
    """
    model.train()
    phase.set_modes(model)
    step.average.follow(model)
    set_progress(model, epoch / step.schedule.epochs)

    looks_at_each = batches.device.type == "cpu"
    looked, total = time.monotonic(), torch.zeros((), device=batches.device)
    stream = batches.epoch(epoch, first)
    done = first
    while done < len(batches):
        shares = step_shares(batches, done, step.accumulate)
        outputs = []
        step.begin(epoch, done)
        for share, (images, labels) in zip(shares, stream, strict=False):  # the stream goes on
            loss, logits = step.loss(model, images, labels)
            if looks_at_each:
                check_finite(loss.item(), model, images, epoch, done, step.precision)
            step.backward(loss, share)
            outputs.append((loss.detach(), logits.detach(), labels))
            done += 1
        step.finish(model)
        if not looks_at_each:
            for loss, _, _ in outputs:
                total += loss  # where NaN and infinity stay
            if time.monotonic() - looked > LOOK_SECONDS or done == len(batches):
                check_finite(total.item(), model, images, epoch, done - 1, step.precision)
                looked = time.monotonic()
                total.zero_()
        yield Done(done, outputs)
