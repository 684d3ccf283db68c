"""Pairs of true and predicted class, counted beside loss and accuracy."""

from __future__ import annotations

import torch
from torch import Tensor

from qat_cli.engine.evaluation.metrics import Tally, best_classes
from qat_cli.engine.machine import distributed


class ConfusionTally(Tally):
    """A tally that also counts every pair of true and predicted class.

    Args:
        device: of the batches.
        classes: how many there are; outputs beyond them count as one more, the last column.
    """

    def __init__(self, device: torch.device, classes: int) -> None:
        super().__init__(device)
        self.classes = classes
        self._pairs = torch.zeros(classes * (classes + 1), dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, mean_loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count one batch; see :meth:`Tally.add`."""
        super().add(mean_loss, logits, labels)
        predicted = best_classes(logits)[:, 0].clamp(max=self.classes)
        pairs = labels * (self.classes + 1) + predicted
        self._pairs += pairs.bincount(minlength=len(self._pairs))

    def counts(self) -> list[list[int]]:
        """Images by true class (row) and predicted class (column), K x (K + 1).

        Those of all processes, each of which has to ask.
        """
        pairs = distributed.summed(self._pairs.clone())
        return pairs.reshape(self.classes, self.classes + 1).tolist()
