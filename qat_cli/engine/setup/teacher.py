"""The float model that a model in training learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from qat_cli.checkpoint import QUANTIZER_MARK, load_weights, named_as_in, read_weights
from qat_cli.engine.machine.randomness import kept_random_states
from qat_cli.engine.setup.experiment import Experiment, example_input
from qat_cli.errors import UserError
from qat_cli.models import build_model, check_output, is_user_code, without_wrappers
from qat_cli.recipes import Recipe, changed
from qat_cli.recipes.schema import ModelConfig
from qat_cli.terminal.console import Console


@dataclass(frozen=True)
class Teacher:
    """The teacher in evaluation mode on its device; ``digest`` is that of its file of weights."""

    model: nn.Module
    weights: Path
    digest: str

    def check_unchanged(self, training: Mapping[str, Any]) -> None:
        """Compare with the teacher that the run began with, of which a checkpoint has the digest.

        Raises:
            UserError: the file of weights has changed.
        """
        if training.get("teacher") != self.digest:
            raise UserError(
                f"the teacher's weights, {self.weights}, have changed since the run began; "
                "restore the file, or start again without --resume."
            )


def teacher_config(recipe: Recipe) -> ModelConfig:
    """The model that teaches in a recipe with distillation, with its weights.

    Raises:
        UserError: the teacher would have no weights.
    """
    distill = recipe.distill
    if distill.model is not None:
        config = ModelConfig(name=distill.model, kwargs=distill.kwargs, weights=distill.weights)
        hint = "set distill.weights=FILE"
    else:
        weights = distill.weights or recipe.model.weights
        config = changed(recipe.model, {"weights": weights})
        hint = "give the trained float model with --weights FILE, or set distill.weights=FILE"
    if config.weights is None:
        raise UserError(
            f"distill.weight is {distill.weight:g}, but the teacher, model {config.name}, has no "
            f"weights: {hint}; distill.weight=0 trains without a teacher."
        )
    return config


def make_teacher(experiment: Experiment, allow_named: bool, console: Console) -> Teacher:
    """Build the teacher of a recipe with distillation, with its weights.

    Random numbers that the training draws are not changed by it.

    Args:
        experiment: with the float model, not yet converted.
        allow_named: the user named ``distill.model`` on the command line, so its code may run.
        console: told which model it is.
    Raises:
        UserError: model or weights cannot be used, the weights are of a quantized model, or the
            teacher has not as many outputs as the model.
    """
    recipe, dataset = experiment.recipe, experiment.dataset
    config = teacher_config(recipe)
    # The recipe's own model has been built by now, so its code may run.
    allow_named = allow_named or recipe.distill.model is None
    classes = len(dataset.classes)
    with kept_random_states():
        model = _built(config, dataset.shape, classes, allow_named)
        weights = named_as_in(model, read_weights(str(config.weights)))
        _refuse_quantized(weights.path, weights.state, model)
        load_weights(model, weights)
        image = example_input(dataset)
        outputs = check_output(model, config.name, image, classes)
        own = check_output(experiment.model, recipe.model.name, image, classes)
    if outputs != own:
        raise UserError(
            f"the teacher, model {config.name}, has {outputs} outputs, model {recipe.model.name} "
            f"has {own}; a teacher needs the same outputs in the same order."
        )
    console.info(
        f"teacher: model {config.name}, weights {config.weights}; it has {recipe.distill.weight:g} "
        f"of the loss, at temperature {recipe.distill.temperature:g}"
    )
    model = model.eval().requires_grad_(False).to(experiment.device)
    if recipe.train.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return Teacher(model, weights.path, hashlib.sha256(weights.path.read_bytes()).hexdigest())


def _built(
    config: ModelConfig, shape: tuple[int, int, int], classes: int, allow_user_code: bool
) -> nn.Module:
    if is_user_code(config.name) and not allow_user_code:
        raise UserError(
            f"the teacher is code of your own, {config.name}, and code runs only when you name it "
            f"yourself; add distill.model={config.name}"
        )
    try:
        model, _ = without_wrappers(build_model(config, shape, classes, allow_user_code))
        return model
    except UserError as error:
        raise UserError(f"the teacher: {error}") from error


def _refuse_quantized(path: Path, state: Mapping[str, Any], model: nn.Module) -> None:
    own = model.state_dict()
    if any(QUANTIZER_MARK in key and key not in own for key in state):
        raise UserError(
            f"{path} is a quantized model, and a teacher is a float one; "
            "name its weights with distill.weights=FILE."
        )
