"""Which checkpoints a run writes beside best.pt, and last.pt after each epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qat_cli.engine.run.state import TrainingState, rank
from qat_cli.report import RunFolder


def keep_best_epochs(
    state: TrainingState,
    count: int,
    first: int,
    folder: RunFolder,
    write: Callable[[Path], None],
) -> None:
    """After an epoch: write its checkpoint if it is one of the ``count`` best, drop the others.

    Args:
        state: the epoch just finished is its last.
        count: how many are kept; 0 leaves the folder as it is.
        first: epochs before it (0 is the first) are not kept, as they are not quantized as the
            recipe says.
        folder: of the run.
        write: writes the checkpoint of the epoch just finished to a path.
    Raises:
        WorkFailed: the file cannot be written.
    """
    if count == 0:
        return
    # Of epochs with the same figures the earlier is better, as for best.pt.
    figures = {
        int(row["epoch"]): rank({"top1": row["val_top1"], "loss": row["val_loss"]})
        for row in state.history[first:]
    }
    best = sorted(figures, key=lambda epoch: (figures[epoch], -epoch), reverse=True)[:count]
    if state.epoch in best:
        write(folder.epoch(state.epoch))
    for epoch, path in folder.epochs().items():
        if epoch not in best:
            path.unlink(missing_ok=True)  # another process of the run may have been faster


def saves_after(done: int, batches: int, accumulate: int, every_steps: int | None) -> bool:
    """``last.pt`` is to be written in the middle of an epoch, after the step that was just taken.

    Args:
        done: batches of this epoch; whole optimizer steps.
        batches: of the whole epoch, after which it is written in any case.
        accumulate: batches per step.
        every_steps: optimizer steps between two checkpoints; ``None`` for none.
    """
    if every_steps is None or done == batches:
        return False
    return (done // accumulate) % every_steps == 0
