"""Measurements of a model that exists: a checkpoint, or float weights on a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qat_cli.checkpoint import Checkpoint, read_checkpoint
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
from qat_cli.recipes import Recipe
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
    changes: Mapping[str, str | int | None],
    console: Console,
) -> Measurement:
    """Evaluate a checkpoint.

    Args:
        path: of the checkpoint.
        part: train, val or test.
        changes: ``data`` (a dataset or folder, prepared as the training data was, classes matched
            by name), ``model`` (repeats the user's own model, whose code may then run),
            ``skip_bad_files``, ``device``, ``backend``, ``batch_size``; ``None`` for as recorded.
        console: shows progress.
    Raises:
        UserError: the checkpoint, the data or the model cannot be used.
    """
    with distributed.agreeing():
        checkpoint = read_checkpoint(path)
        recipe = _changed(checkpoint.recipe, changes)
        dataset = load_data(recipe.data, console).labelled_as(checkpoint.classes)
        allow_code = changes.get("model") is not None
        experiment = float_experiment(recipe, allow_code, console, dataset)
    with chosen_backend(recipe, experiment.device, console):
        experiment = restored(checkpoint, path, experiment, console, show=False)
        metrics = measure(experiment, part, console)
        backend = backend_in_use(recipe)
    return Measurement(experiment, metrics, _recorded(checkpoint, part, changes), backend)


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


def _changed(recipe: Recipe, changes: Mapping[str, str | int | None]) -> Recipe:
    def given(**fields: str) -> dict[str, Any]:
        return {f: changes[key] for f, key in fields.items() if changes.get(key) is not None}

    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(
                update=given(name="data", skip_bad_files="skip_bad_files")
            ),
            "model": recipe.model.model_copy(update=given(name="model")),
            "train": recipe.train.model_copy(
                update=given(device="device", backend="backend", eval_batch_size="batch_size")
            ),
        }
    )


def _recorded(
    checkpoint: Checkpoint, part: str, changes: Mapping[str, str | int | None]
) -> Mapping[str, Any] | None:
    # Figures for other data say nothing about these.
    return None if changes.get("data") is not None else checkpoint.metrics.get(part) or None
