"""Post-training steps, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from qat.enums import lookup
from qat.ptq.methods import STEPS
from qat.ptq.step import Images, Progress, Step, StepReport


def run_steps(
    model: nn.Module, names: Sequence[str], images: Images, progress: Progress = lambda done: None
) -> Iterator[StepReport]:
    """Take the steps ``names``, keys of :data:`STEPS`, and yield after each.

    The caller may measure or save the model between two steps; it is in evaluation mode.

    Args:
        model: quantized; changed in place.
        names: in the order in which they are taken.
        images: batches to calibrate on, iterated anew by each step.
        progress: told how many images of a step are done.
    Yields:
        The report of each step.
    Raises:
        ValueError: a name is not in the table; before any step is taken.
    """
    steps = [lookup(STEPS, name, field="post-training step") for name in names]
    return _taken(model, steps, images, progress)


def _taken(
    model: nn.Module, steps: Sequence[Step], images: Images, progress: Progress
) -> Iterator[StepReport]:
    for step in steps:
        model.eval()
        yield step(model, images, progress)
