"""A look at a run before it: all is built, its costs are measured, nothing is trained or kept."""

from __future__ import annotations

import copy
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from qat.costs import Costs, measure_costs
from qat_cli.engine.machine.backend import backend_in_use, chosen_backend
from qat_cli.engine.memory.advice import training_explained
from qat_cli.engine.memory.estimate import MemoryEstimate
from qat_cli.engine.memory.meter import available
from qat_cli.engine.run.timed_steps import copied
from qat_cli.engine.run.training import TrainingRun
from qat_cli.engine.setup.experiment import (
    Experiment,
    example_input,
    float_experiment,
    quantized,
    restore_quantizers,
    with_start_weights,
)
from qat_cli.engine.setup.teacher import teacher_config
from qat_cli.engine.tasks.calibrate import check_recipe
from qat_cli.engine.tasks.train import build_run
from qat_cli.recipes import Recipe
from qat_cli.report import RunFolder, RunLog
from qat_cli.terminal.console import Console


@dataclass(frozen=True)
class StepFigures:
    """What training steps take.

    Args:
        memory: for any number of images.
        room: bytes that were there before; ``None`` where that is unknown.
        seconds: of an optimizer step, with loading its images.
        steps: in an epoch.
    """

    memory: MemoryEstimate
    room: int | None
    seconds: float
    steps: int


@dataclass(frozen=True)
class DryRun:
    """What was found; ``step`` is of training, ``None`` where nothing would be trained."""

    experiment: Experiment
    costs: Costs
    backend: str | None
    step: StepFigures | None = None


def dry_train(
    recipe: Recipe, allow_user_code: bool, allow_teacher_code: bool, console: Console
) -> DryRun:
    """Build a training run as :func:`qat_cli.engine.start_run` does, and measure it.

    Steps are taken on a copy of the model. There is no run folder.

    Raises:
        UserError: an input cannot be used.
        WorkFailed: a training step runs out of memory; says which batch size would fit.
    """
    teacher_config(recipe)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as to_the_end:
        folder = RunFolder(Path(scratch))
        log = RunLog(console, folder.log)
        run = build_run(recipe, folder, log, allow_user_code, allow_teacher_code, to_the_end).run
        log.info("dry run: measuring the model and some training steps")
        costs = costs_of(run.model, run.experiment)
        return DryRun(run.experiment, costs, backend_in_use(run.recipe), _measured(run))


def dry_calibrate(recipe: Recipe, allow_user_code: bool, console: Console) -> DryRun:
    """Quantize the model with its weights as :func:`calibrate_run` does, and measure it.

    Raises:
        UserError: an input cannot be used.
    """
    check_recipe(recipe)
    experiment = float_experiment(recipe, allow_user_code, console)
    experiment.dataset.part("train")
    with chosen_backend(recipe, experiment.device, console):
        weights = with_start_weights(experiment, console)
        experiment = quantized(experiment, console)
        if weights is not None:
            restore_quantizers(experiment, weights, console)
        costs = costs_of(experiment.model, experiment)
        return DryRun(experiment, costs, backend_in_use(recipe))


def costs_of(model: nn.Module, experiment: Experiment) -> Costs:
    """Costs for one image, counted on the CPU; ``model`` stays where it is."""
    own = copy.deepcopy(model).cpu()
    return measure_costs(own, example_input(experiment.dataset))


def _measured(run: TrainingRun) -> StepFigures:
    batches, step = run.train_batches, run.step
    room = available(batches.device)
    with copied(run.model, step, batches) as trial:
        memory = trial.memory()
        with training_explained(batches, step.accumulate, lambda: memory):
            seconds = trial.seconds_per_step()
    return StepFigures(memory, room, seconds, step.schedule.steps_per_epoch)
