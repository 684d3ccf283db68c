"""Checkpoints of a training run: when written, and how resumed from.

Processes that share a run draw different random numbers, and may go on later in another number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import device as Device
from torch import nn

from qat_cli.checkpoint import Checkpoint, write_checkpoint
from qat_cli.data import Batches
from qat_cli.engine.evaluation.diagnosis import check_weights
from qat_cli.engine.machine import distributed
from qat_cli.engine.machine.backend import backend_in_use
from qat_cli.engine.machine.randomness import random_states, restore_random_states, seed_everything
from qat_cli.engine.run.state import TrainingState, rank
from qat_cli.engine.setup.experiment import Experiment
from qat_cli.engine.setup.teacher import Teacher
from qat_cli.engine.step.step import Step
from qat_cli.recipes import Recipe
from qat_cli.report import RunFolder

STEP_IMAGES = "step_images"
PROCESSES = "processes"
RANDOM = "random"
RANDOM_OF_OTHERS = "random_of_others"


class Kept:
    """Checkpoints of one run: ``last.pt`` to go on from, ``best.pt``, and the best epochs.

    Only the first of several processes writes; all of them have to call.

    Args:
        folder: of the run.
        experiment: gives the recipe, the classes and the shape of images.
        model: in training.
        asked: the recipe as it was before the data's own choices were written out.
        teacher: of the run's distillation, if it has one.
    """

    def __init__(
        self,
        folder: RunFolder,
        experiment: Experiment,
        model: nn.Module,
        asked: Recipe,
        teacher: Teacher | None,
    ) -> None:
        self.folder = folder
        self.experiment = experiment
        self.model = model
        self.asked = asked
        self.teacher = teacher

    def is_due(self, done: int, batches: int, accumulate: int) -> bool:
        """``last.pt`` is to be written in the middle of an epoch, after the step just taken.

        Args:
            done: batches of this epoch; whole optimizer steps.
            batches: of the whole epoch, after which it is written in any case.
            accumulate: batches per step.
        """
        every_steps = self.experiment.recipe.checkpoint.every_steps
        if every_steps is None or done == batches:
            return False
        return (done // accumulate) % every_steps == 0

    def save_last(self, state: TrainingState, step: Step, batches: Batches) -> None:
        """Write ``last.pt``.

        Raises:
            WorkFailed: a weight is not finite, or the file cannot be written.
        """
        check_weights(self.model, state.epoch, state.batch)
        training = {
            "state": dataclasses.asdict(state),
            "optimizer": step.optimizer.state_dict(),
            "average": step.average.state(),
            "scaler": step.precision.scaler.state_dict(),
            **states_to_save(batches),
            "backend": backend_in_use(self.experiment.recipe),
            "teacher": self.teacher and self.teacher.digest,
            "asked": self.asked.model_dump(mode="json"),
        }
        self._write(self.folder.last, state, training)

    def save_epoch(self, state: TrainingState, is_best: bool) -> None:
        """After an epoch: write ``best.pt`` if it is the best, and its own file while it is among
        the ``checkpoint.top_k`` best; drop the file of another that no longer is.

        Raises:
            WorkFailed: a file cannot be written.
        """
        if is_best:
            self._write(self.folder.best, state)
        count = self.experiment.recipe.checkpoint.top_k
        if count == 0:
            return
        best = self._best_epochs(state, count)
        if state.epoch in best:
            self._write(self.folder.epoch(state.epoch), state)
        for epoch, path in self.folder.epochs().items():
            if epoch not in best:
                path.unlink(missing_ok=True)  # another process of the run may have been faster

    def _best_epochs(self, state: TrainingState, count: int) -> list[int]:
        """Epochs quantized as the recipe says; of two alike the earlier, as for ``best.pt``."""
        rows = state.history[self.experiment.recipe.schedule.final_epoch :]
        figures = {
            int(row["epoch"]): rank({"top1": row["val_top1"], "loss": row["val_loss"]})
            for row in rows
        }
        return sorted(figures, key=lambda epoch: (figures[epoch], -epoch), reverse=True)[:count]

    def _write(
        self, path: Path, state: TrainingState, training: Mapping[str, Any] | None = None
    ) -> None:
        if not distributed.is_first():
            return
        dataset = self.experiment.dataset
        metrics = {"epoch": state.epoch, "phase_epoch": state.phase_epoch, "val": state.val}
        write_checkpoint(
            path,
            Checkpoint(
                recipe=self.experiment.recipe,
                weights=self.model.state_dict(),
                classes=dataset.classes,
                input_shape=dataset.shape,
                metrics=metrics,
                training=training or {},
            ),
        )


def process_seed(seed: int) -> int:
    """A seed of its own for every process; that of the first is ``seed``."""
    return seed + 1_000_003 * distributed.rank()


def states_to_save(batches: Batches) -> dict[str, Any]:
    """The random states of all processes, and how many images they go through at once."""
    first, *others = distributed.gathered(random_states())
    return {
        RANDOM: first,
        RANDOM_OF_OTHERS: others,
        STEP_IMAGES: batches.step_images,
        PROCESSES: distributed.size(),
    }


def restore_states(training: Mapping[str, Any], seed: int, device: Device) -> None:
    """Go on with the random states of :func:`states_to_save`.

    A process that was not there gets a seed of its own, new in every epoch.
    """
    states = [training[RANDOM], *training.get(RANDOM_OF_OTHERS, [])]
    if distributed.rank() < len(states):
        restore_random_states(states[distributed.rank()])
    else:
        seed_everything(process_seed(seed + 1 + training["state"]["epoch"]), device)


def position(training: Mapping[str, Any], batches: Batches, accumulate: int) -> int:
    """The batch to go on with in the epoch that was begun.

    Where more or fewer images are taken at once than before, it is the last one that begins an
    optimizer step and leaves no image out: images after its beginning are seen a second time.
    """
    batch: int = training["state"]["batch"]
    step_images = training.get(STEP_IMAGES, batches.step_images)
    if step_images == batches.step_images:
        return batch
    if batch * step_images >= batches.images:  # only its validation is missing
        return len(batches)
    return batch * step_images // (batches.step_images * accumulate) * accumulate
