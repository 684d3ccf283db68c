"""Measurements of checkpoints, and of float weights on a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qat_cli.checkpoint import read_checkpoint
from qat_cli.data import evaluation_batches, load_data
from qat_cli.engine.evaluation.evaluate import evaluate
from qat_cli.engine.evaluation.metrics import Metrics, Tally
from qat_cli.engine.machine import distributed
from qat_cli.engine.machine.backend import backend_in_use, chosen_backend
from qat_cli.engine.setup.experiment import (
    Experiment,
    decoded,
    float_experiment,
    placed,
    restored,
    with_start_weights,
)
from qat_cli.errors import UserError
from qat_cli.recipes import Recipe, changed
from qat_cli.recipes.overrides import Override
from qat_cli.terminal.console import Console


@dataclass(frozen=True)
class Measurement:
    """Figures of one part of the data, and the same figures as they were recorded, if they were.

    ``backend`` is what the quantizers ran on, ``None`` for a float model.
    """

    experiment: Experiment
    metrics: Metrics
    recorded: Mapping[str, Any] | None
    backend: str | None = None

    @property
    def matches(self) -> bool | None:
        """The figures are those recorded, to the last bit; ``None`` where there are none."""
        return None if self.recorded is None else self.metrics.as_dict() == dict(self.recorded)


def measure(
    experiment: Experiment, part: str, console: Console, tally: Tally | None = None
) -> Metrics:
    """Loss and accuracy of the experiment's model on one part of its data, decoded where needed.

    Args:
        experiment: its model is moved to its device.
        part: train, val or test.
        console: shows progress.
        tally: counts instead of a plain one.
    """
    experiment = decoded(experiment, [part], console)
    model = placed(experiment)
    share = distributed.own_share()
    batches = evaluation_batches(
        experiment.dataset, part, experiment.recipe, experiment.device, share
    )
    return evaluate(model, batches, console, f"evaluating {part}", tally=tally)


@distributed.joined()
def measure_checkpoint(
    path: Path,
    part: str,
    changes: Sequence[Override],
    console: Console,
) -> Measurement:
    """Evaluate a checkpoint.

    Args:
        path: of the checkpoint.
        part: train, val or test.
        changes: of the recipe; ``data.name`` is prepared as the training data was, classes matched
            by name; ``model.name`` repeats the user's own model, whose code may then run.
        console: shows progress.
    Raises:
        UserError: the checkpoint, the data or the model cannot be used.
    """
    with distributed.agreeing():
        checkpoint = read_checkpoint(path)
        given = [change.key for change in changes]
        recipe = changed(checkpoint.recipe, changes)
        dataset = load_data(recipe.data, console).labelled_as(checkpoint.classes)
        allow_code = "model.name" in given
        experiment = float_experiment(recipe, allow_code, console, dataset)
    with chosen_backend(recipe, experiment.device, console):
        experiment = restored(checkpoint, path, experiment, console, show=False)
        metrics = measure(experiment, part, console)
        backend = backend_in_use(recipe)
    # Figures for other data say nothing about these.
    recorded = None if "data.name" in given else checkpoint.metrics.get(part) or None
    return Measurement(experiment, metrics, recorded, backend)


@distributed.joined()
def measure_weights(recipe: Recipe, part: str, console: Console) -> Measurement:
    """Evaluate a float model with weights from a file.

    Args:
        recipe: without ``quant``; the model was named on the command line.
        part: train, val or test.
        console: shows progress.
    Raises:
        UserError: model, weights or data cannot be used; or the weights are of a quantized model.
    """
    experiment = float_experiment(recipe, True, console)
    weights = with_start_weights(experiment, console)
    if weights is not None:
        raise UserError(
            f"{weights.path} is a quantized model; evaluate it with "
            f"qat eval --checkpoint {weights.path}"
        )
    return Measurement(experiment, measure(experiment, part, console), None)
