"""Advice where memory runs out: a batch that would fit."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable

import torch
from torch import nn

from qat_cli.data import Batches
from qat_cli.engine.memory.estimate import MemoryEstimate, estimate_evaluation
from qat_cli.engine.memory.meter import available
from qat_cli.errors import WorkFailed

SHARE = 0.9  # of the memory there is: what operations take inside of themselves is not all seen
MARKS = (  # in the messages of errors that have no class of their own
    "not enough memory",
    "can't allocate memory",
    "out of memory",
    "alloc_failed",
    "bad_alloc",
)
GIB = 2**30


def is_out_of_memory(error: BaseException) -> bool:
    """``error`` says that memory could not be had, on a GPU or a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(mark in text for mark in MARKS)


def halvings(images: int) -> list[int]:
    """``images``, half of it, and so on down to 1."""
    sizes = [max(images, 1)]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] // 2)
    return sizes


def batches_per_step(asked: int, images: int, accumulate: int) -> int:
    """How many batches of ``images`` have the images of ``accumulate`` batches of ``asked``, or a
    few more."""
    return -(-asked * accumulate // images)


def release(error: BaseException) -> None:
    """Give back what the functions that ``error`` came through still hold."""
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def training_failure(
    error: Exception,
    batches: Batches,
    accumulate: int,
    estimate: Callable[[], MemoryEstimate],
) -> WorkFailed:
    """The explanation of a training step that ran out of memory, with a batch size that would fit.

    Args:
        error: says that memory could not be had; what the functions it came through hold is given
            back.
        batches: the training part.
        accumulate: batches per optimizer step.
        estimate: measures what a step takes.
    """
    asked = batches.batch_size

    def remedy(fitting: int) -> str:
        count = batches_per_step(asked, fitting, accumulate)
        return (
            f"train.batch_size={fitting} with train.accumulate={count} keeps "
            f"{asked * accumulate} images per step; --auto-batch finds such a size by trying"
        )

    return _failure(error, "training", "train.batch_size", asked, batches.device, estimate, remedy)


def evaluation_failure(
    error: Exception, model: nn.Module, batches: Batches, key: str
) -> WorkFailed:
    """The same for a forward pass in evaluation mode.

    Args:
        error: says that memory could not be had.
        model: was run.
        batches: what it ran on.
        key: the recipe's key of their size.
    """

    def estimate() -> MemoryEstimate:
        shape, most = batches.part.images.shape, batches.batch_size
        return estimate_evaluation(model, shape, most, batches.device)

    def remedy(fitting: int) -> str:
        return f"set {key}={fitting}"

    return _failure(error, "evaluation", key, batches.batch_size, batches.device, estimate, remedy)


def _failure(
    error: Exception,
    work: str,
    key: str,
    asked: int,
    device: torch.device,
    estimate: Callable[[], MemoryEstimate],
    remedy: Callable[[int], str],
) -> WorkFailed:
    release(error)
    first = str(error).strip().partition("\n")[0]
    failure = f"out of memory in {work} with batches of {asked} images ({key}): {first}"
    return WorkFailed(f"{failure}\n{_advice(asked, device, estimate, remedy)}")


def _advice(
    asked: int,
    device: torch.device,
    estimate: Callable[[], MemoryEstimate],
    remedy: Callable[[int], str],
) -> str:
    smaller = halvings(asked)[1:]
    if not smaller:
        return "not even one image fits; use a smaller model, or smaller images."
    room = available(device)
    try:
        memory = estimate()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        release(error)
        return f"too little is left to measure what would fit; {remedy(smaller[0])}."
    needed = memory.step(asked)
    largest = None if room is None else memory.largest_batch(int(SHARE * room))
    if largest is None or needed is None or room is None:
        return f"half as many may fit: {remedy(smaller[0])}."
    fitting = next((size for size in smaller if size <= largest), None)
    figures = f"a batch of {asked} takes about {gib(needed)}, and {gib(room)} is there"
    if fitting is None:
        return f"{figures}; not even one image fits: use a smaller model, or smaller images."
    return f"{figures}; {fitting} would fit: {remedy(fitting)}."


def gib(size: float) -> str:
    """``1.25 GiB``, or in MiB below a tenth of that."""
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:.1f} MiB"
