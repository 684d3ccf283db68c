"""How much each of the batches of one optimizer step counts in its loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from qat_cli.data import WHOLE, Batches


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


ONE_BATCH: Sequence[Tensor | None] = (None,)
