"""The position of a training run, and its figures so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qat_cli.engine.evaluation.metrics import Metrics
from qat_cli.report import Row


@dataclass
class TrainingState:
    """The position of a run between two steps, and its figures so far, as in ``last.pt``.

    Args:
        epoch: finished epochs, validation included.
        batch: batches done of the epoch after them.
        tally: sums over those batches, from :meth:`Tally.state`.
        train_seconds: spent on them.
        seconds: spent on all finished epochs.
        history: a row per finished epoch.
        val: validation figures of the last finished epoch.
        best_epoch: the epoch (1 is the first) of the best checkpoint; 0: none yet.
        best_val: its validation figures.
        float_test: test figures of the float model that training started from; empty if unknown.
        phase_epoch: the epoch (0 is the first) in whose phase the quantizers are; ``None``: as
            they were built.
    """

    epoch: int = 0
    batch: int = 0
    tally: Mapping[str, object] = field(default_factory=dict)
    train_seconds: float = 0.0
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list)
    val: Mapping[str, Any] = field(default_factory=dict)
    best_epoch: int = 0
    best_val: Mapping[str, Any] = field(default_factory=dict)
    float_test: Mapping[str, Any] = field(default_factory=dict)
    phase_epoch: int | None = None

    def finish_epoch(
        self, train: Metrics, val: Metrics, lr: float, val_seconds: float, is_final: bool = True
    ) -> bool:
        """Note that the epoch is trained and validated.

        Args:
            train, val: figures of the epoch.
            lr: learning rate at its end.
            val_seconds: taken by the validation.
            is_final: it was quantized as the recipe says; others are never the best.
        Returns:
            It is the best so far: a higher validation top-1, or the same with a lower loss. Of
            epochs with both the same, the earliest stays the best.
        """
        seconds = self.train_seconds + val_seconds
        self.epoch += 1
        self.seconds += seconds
        self.history.append(
            {
                "epoch": self.epoch,
                "lr": lr,
                "train_loss": train.loss,
                "train_top1": train.top1,
                "val_loss": val.loss,
                "val_top1": val.top1,
                "val_top5": val.top5,
                "images_per_second": train.images / max(self.train_seconds, 1e-9),
                "seconds": seconds,
            }
        )
        self.batch, self.tally, self.train_seconds = 0, {}, 0.0
        self.val = val.as_dict()
        is_best = is_final and (not self.best_epoch or rank(self.val) > rank(self.best_val))
        if is_best:
            self.best_epoch, self.best_val = self.epoch, self.val
        return is_best

    def has_stalled(self, patience: int, first: int = 0) -> bool:
        """Validation top-1 was not raised in the last ``patience`` epochs.

        Epochs before ``first`` (0 is the first), which cannot be the best, do not count.
        """
        top1 = [float(row["val_top1"]) for row in self.history[first:]]
        if len(top1) <= patience:
            return False
        return max(top1[-patience:]) <= max(top1[:-patience])


def rank(figures: Mapping[str, float]) -> tuple[float, float]:
    """Greater for better validation figures: a higher top-1, then a lower loss."""
    loss = figures["loss"]
    return figures["top1"], -loss if loss == loss else float("-inf")  # NaN is never better
