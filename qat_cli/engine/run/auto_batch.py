"""The largest batch that fits, found by halving and real steps."""

from __future__ import annotations

from itertools import islice

import torch
from torch import nn

from qat_cli.data import Batches
from qat_cli.engine.memory.advice import (
    SHARE,
    batches_per_step,
    gib,
    halvings,
    is_out_of_memory,
    release,
)
from qat_cli.engine.memory.estimate import MemoryEstimate
from qat_cli.engine.memory.meter import available
from qat_cli.engine.run.timed_steps import copied, memory_of_step
from qat_cli.engine.step.step import Step
from qat_cli.errors import WorkFailed
from qat_cli.recipes import Recipe, changed
from qat_cli.terminal.console import Console

STEPS = 2  # from the second on the optimizer has its state


def with_fitting_batch(
    recipe: Recipe, model: nn.Module, step: Step, batches: Batches, console: Console
) -> Recipe:
    """``recipe`` with a batch size that fits and as many images per optimizer step as it asks for.

    What the estimate says does not fit is not tried: a system may end a process that takes too
    much, without an error.

    Args:
        recipe: resolved; the returned one no longer asks for the search, so that it reruns as
            this one.
        model, step, batches: of the run that begins; stay as they are.
        console: told what was tried and what is chosen.
    Raises:
        WorkFailed: not even one image fits.
    """
    asked, accumulate = recipe.train.batch_size, recipe.train.accumulate
    memory = _estimate(model, step, batches)
    for images in halvings(asked):
        count = batches_per_step(asked, images, accumulate)
        failure = _excess(memory, min(images, batches.images), batches.device)
        if failure is None and not _fits(model, step, batches, images, count):
            failure = "a step runs out of memory"
        if failure is None:
            console.info(f"auto-batch: {_choice(asked, accumulate, images, count)}")
            found = {"batch_size": images, "accumulate": count, "auto_batch": False}
            return changed(recipe, {f"train.{key}": value for key, value in found.items()})
        console.info(f"auto-batch: batches of {images} images do not fit, {failure}")
    raise WorkFailed("auto-batch: not even one image fits; use a smaller model, or smaller images.")


def _estimate(model: nn.Module, step: Step, batches: Batches) -> MemoryEstimate | None:
    try:
        return memory_of_step(model, step, batches)
    except (RuntimeError, MemoryError) as error:
        _released(error)
        return None


def _fits(model: nn.Module, step: Step, batches: Batches, images: int, count: int) -> bool:
    try:
        with copied(model, step, batches) as trial:
            for _ in islice(trial.with_batches_of(images, count).steps(), STEPS):
                pass
        return True
    except (RuntimeError, MemoryError) as error:
        _released(error)
        return False


def _released(error: Exception) -> None:
    if not is_out_of_memory(error):
        raise error
    release(error)


def _excess(memory: MemoryEstimate | None, images: int, device: torch.device) -> str | None:
    needed = None if memory is None else memory.step(images)
    room = available(device)
    if needed is None or room is None or needed <= SHARE * room:
        return None
    return f"a step takes about {gib(needed)} and {gib(room)} is there"


def _choice(asked: int, accumulate: int, images: int, count: int) -> str:
    if images == asked:
        return f"batches of {images} images fit"
    exactly = images * count == asked * accumulate
    kept = "as asked for" if exactly else f"nearest to the {asked * accumulate} asked for"
    return (
        f"batches of {images} images, {count} per optimizer step: {images * count} images, {kept}"
    )
