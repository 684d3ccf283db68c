"""How much each of the batches of one optimizer step counts in its loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from qat_cli.data import Batches


def step_shares(batches: Batches, first: int, accumulate: int) -> Sequence[Tensor | None]:
    """The gradient to begin ``loss.backward`` with, for each batch of the step from ``first`` on.

    A batch counts by its images, so that the step's gradient is that of the mean over all of them.
    The last step of an epoch has the batches that are left.

    Args:
        batches: the training part.
        first: number of the step's first batch.
        accumulate: batches per optimizer step.
    Returns:
        A scalar in (0, 1] per batch, of sum 1; ``None``, which is 1 at no cost, for a step of one.
    """
    if accumulate == 1:
        return ONE_BATCH
    size = batches.batch_size
    begins = range(first, min(first + accumulate, len(batches)))
    counts = [min(size, batches.images - number * size) for number in begins]
    return list(torch.tensor(counts, dtype=torch.float32).div_(sum(counts)).to(batches.device))


ONE_BATCH: Sequence[Tensor | None] = (None,)
