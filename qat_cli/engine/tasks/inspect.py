"""The costs of a model that a checkpoint or a recipe describes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from qat.costs import Costs
from qat_cli.checkpoint import Checkpoint, read_checkpoint
from qat_cli.data import Dataset, Part
from qat_cli.data.images.stores import MemoryImages
from qat_cli.engine.setup.experiment import (
    Experiment,
    float_experiment,
    quantized,
    restore_quantizers,
    restored,
    with_start_weights,
)
from qat_cli.engine.tasks.dry_run import costs_of
from qat_cli.recipes import Recipe, changed
from qat_cli.terminal.console import Console


@dataclasses.dataclass(frozen=True)
class Inspection:
    """A model as it was built, and what it costs."""

    experiment: Experiment
    costs: Costs


def inspect_checkpoint(path: Path, model: str | None, console: Console) -> Inspection:
    """The model of a checkpoint; its data is not needed.

    Args:
        path: of the checkpoint.
        model: repeats the user's own model, whose code may then run; ``None`` for as recorded.
        console: told about the conversion.
    Raises:
        UserError: the checkpoint or the model cannot be used.
    """
    checkpoint = read_checkpoint(path)
    recipe = _on_cpu(checkpoint.recipe)
    if model is not None:
        recipe = changed(recipe, {"model.name": model})
    experiment = float_experiment(recipe, model is not None, console, one_image(checkpoint))
    experiment = restored(checkpoint, path, experiment, console, show=False)
    return Inspection(experiment, costs_of(experiment.model, experiment))


def inspect_recipe(recipe: Recipe, allow_user_code: bool, console: Console) -> Inspection:
    """The model of a recipe, with its start weights if it names some.

    Args:
        recipe: as loaded.
        allow_user_code: the user named the model on the command line.
        console: told about the conversion.
    Raises:
        UserError: data, model or weights cannot be used.
    """
    experiment = float_experiment(_on_cpu(recipe), allow_user_code, console)
    weights = with_start_weights(experiment, console)
    experiment = quantized(experiment, console, show_layers=False)
    if weights is not None:
        restore_quantizers(experiment, weights, console)
    return Inspection(experiment, costs_of(experiment.model, experiment))


def _on_cpu(recipe: Recipe) -> Recipe:
    # Nothing is trained or measured; the GPU that a checkpoint comes from may be elsewhere.
    return changed(recipe, {"train.device": "cpu"})


def one_image(checkpoint: Checkpoint) -> Dataset:
    """Data with the shape and the classes of the checkpoint, and nothing to see."""
    shape = checkpoint.input_shape
    image = MemoryImages(torch.zeros(1, *shape, dtype=torch.uint8))
    part = Part(image, torch.zeros(1, dtype=torch.int64))
    data = checkpoint.recipe.data
    mean, std = ([value] * shape[0] for value in (0.0, 1.0))
    return Dataset(data.name, list(checkpoint.classes), mean, std, {"test": part})
