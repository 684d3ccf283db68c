"""A run that is built and measured, but neither trained nor kept."""

from __future__ import annotations

import copy
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from qat.costs import Costs, measure_costs
from qat_cli.engine.machine.backend import backend_in_use, chosen_backend
from qat_cli.engine.memory.advice import is_out_of_memory, training_failure
from qat_cli.engine.memory.estimate import MemoryEstimate
from qat_cli.engine.memory.meter import available
from qat_cli.engine.run.timed_steps import copied
from qat_cli.engine.run.training import Parts
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
from qat_cli.engine.tasks.train import Allowed, build, fit_batch, make_loggers
from qat_cli.recipes import Recipe
from qat_cli.report import RunFolder
from qat_cli.terminal.console import Console


@dataclass(frozen=True)
class StepFigures:
    """Memory and time of training steps.

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
    """Costs of a model; ``step`` is of training, ``None`` where nothing would be trained."""

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
    if recipe.distill.weight > 0:
        teacher_config(recipe)
    allowed = Allowed(allow_user_code, allow_teacher_code)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as to_the_end:
        built = fit_batch(build(recipe, allowed, console, to_the_end), console)
        make_loggers(built, RunFolder(Path(scratch))).close()  # one may not be installed
        console.info("dry run: measuring the model and some training steps")
        experiment, parts = built.experiment, built.parts
        costs = costs_of(parts.model, experiment)
        return DryRun(experiment, costs, backend_in_use(experiment.recipe), _measured(parts))


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


def _measured(parts: Parts) -> StepFigures:
    batches, step = parts.batches, parts.step
    room = available(batches.device)
    with copied(parts.model, step, batches) as trial:
        memory = trial.memory()
        try:
            seconds = trial.seconds_per_step()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise training_failure(error, batches, step.accumulate, lambda: memory) from error
    return StepFigures(memory, room, seconds, step.schedule.steps_per_epoch)
