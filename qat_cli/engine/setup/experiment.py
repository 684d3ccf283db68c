"""Data and model of a recipe, ready to be trained or measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import qat.config  # noqa: F401  a bad QAT_* value is refused also where nothing is quantized
from qat_cli.checkpoint import (
    QUANTIZER_MARK,
    Checkpoint,
    WeightsFile,
    load_weights,
    named_as_in,
    read_weights,
)
from qat_cli.data import Dataset, load_data, pinned, prepared
from qat_cli.engine.machine import distributed
from qat_cli.engine.machine.backend import choose_device
from qat_cli.engine.machine.randomness import seed_everything
from qat_cli.engine.step.bit_width_schedule import check_bit_widths
from qat_cli.engine.step.phases import AS_BUILT, phase_of, set_quantizers
from qat_cli.errors import UserError
from qat_cli.models import (
    OWN_SIZE,
    absolute_name,
    build_model,
    check_output,
    first_conv_channels,
    without_wrappers,
)
from qat_cli.recipes import Recipe, changed, graph_rules
from qat_cli.terminal.console import Console

LAYER_COLUMNS = ("layer", "kind", "weight", "input", "activation", "note")


@dataclass(frozen=True)
class Experiment:
    """A recipe with everything that was left open decided, its data, its model on the device."""

    recipe: Recipe
    dataset: Dataset
    model: nn.Module
    device: torch.device


def float_experiment(
    recipe: Recipe,
    allow_user_code: bool,
    console: Console,
    dataset: Dataset | None = None,
) -> Experiment:
    """Find the data and build the float model with random weights, seeded.

    Images in files are not decoded yet, see :func:`decoded`: what is wrong with a recipe should
    show before a minute is spent on that.

    Args:
        recipe: as loaded.
        allow_user_code: the user named the model on the command line.
        console: told what was decided.
        dataset: taken instead of loading ``recipe.data``.
    Raises:
        UserError: data or model cannot be used, or do not fit each other.
    """
    device = choose_device(recipe.train.device)
    if dataset is None:
        with distributed.one_by_machine("data"):  # it may be downloaded
            dataset = _data_for_model(recipe, console)
    seed_everything(recipe.train.seed, device)
    classes = len(dataset.classes)
    model = build_model(recipe.model, dataset.shape, classes, allow_user_code)
    model, looked_through = without_wrappers(model)
    for note in looked_through:
        console.info(f"model {recipe.model.name}: {note}")
    if first_conv_channels(model) == 3 and dataset.shape[0] == 1 and recipe.data.channels is None:
        console.info(f"model {recipe.model.name} takes RGB images: the grey channel is repeated")
        dataset = dataset.in_rgb()
    outputs = check_output(model, recipe.model.name, example_input(dataset), classes)
    if outputs > classes:
        console.warn(
            f"the model has {outputs} outputs for {classes} classes; "
            f"labels are taken as outputs 0 to {classes - 1}"
        )
        _refuse_mixing(recipe, outputs)
    return Experiment(_resolved(recipe, dataset), dataset, model, device)


def decoded(experiment: Experiment, parts: Iterable[str], console: Console) -> Experiment:
    """The experiment with those parts of its data ready, see :func:`qat_cli.data.prepared`.

    Raises:
        UserError: a part is missing, or an image cannot be decoded.
    """
    recipe = experiment.recipe
    dataset, data = prepared(experiment.dataset, parts, recipe.data, console)
    recipe = changed(recipe, {"data": data})
    return dataclasses.replace(experiment, recipe=recipe, dataset=dataset)


def _data_for_model(recipe: Recipe, console: Console) -> Dataset:
    """The recipe's data, at the size that the model was published for where the recipe has none."""
    size = OWN_SIZE.get(recipe.model.name)
    if size is None or recipe.data.image_size is not None:
        return load_data(recipe.data, console)
    console.info(
        f"model {recipe.model.name}: images are scaled to {size}x{size} pixels, the size that it "
        "was published for; data.image_size sets another"
    )
    return load_data(changed(recipe.data, {"image_size": size}), console)


def with_start_weights(experiment: Experiment, console: Console) -> WeightsFile | None:
    """Load the recipe's ``model.weights`` into the float model, if it names any.

    Returns:
        The file, where it also holds quantizers of a quantized model, for
        :func:`restore_quantizers`; otherwise ``None``.
    Raises:
        UserError: the file cannot be read or does not fit.
    """
    path = experiment.recipe.model.weights
    if path is None:
        return None
    weights = named_as_in(experiment.model, read_weights(path))
    own = experiment.model.state_dict()
    plain = {k: v for k, v in weights.state.items() if k in own or QUANTIZER_MARK not in k}
    load_weights(experiment.model, WeightsFile(weights.path, plain))
    console.info(f"start weights: {path} ({len(plain)} tensors)")
    return weights if len(plain) < len(weights.state) else None


def quantized(experiment: Experiment, console: Console, show_layers: bool = True) -> Experiment:
    """Convert the float model as the recipe says, and show what became of each layer.

    Without a ``quant`` section the model stays as it is.

    Raises:
        UserError: a rule matched no layer, or a quantizer cannot be built.
    """
    recipe = experiment.recipe
    if recipe.quant is None:
        console.info(f"model {recipe.model.name}: float, nothing is quantized")
        return experiment
    from qat.graph import quantize_model

    try:
        result = quantize_model(
            experiment.model, graph_rules(recipe.quant), example_input(experiment.dataset)
        )
        if recipe.schedule.bit_widths:
            check_bit_widths(result.model, recipe.schedule.bit_widths)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise UserError(f"recipe {recipe.name}: {error}") from error
    if show_layers:
        rows = [
            (row.name, row.kind, row.weight, row.input, row.activation, row.note)
            for row in result.layers
        ]
        console.table(f"model {recipe.model.name}, quantized", LAYER_COLUMNS, rows)
        for note in result.notes:
            console.info(f"note: {note}")
    return Experiment(recipe, experiment.dataset, result.model, experiment.device)


def restore_quantizers(experiment: Experiment, weights: WeightsFile, console: Console) -> None:
    """Take over the quantizers' state where ``weights`` comes from a model quantized the same way.

    Otherwise their scales are made afresh from the weights, which is said.
    """
    if set(weights.state) == set(experiment.model.state_dict()):
        load_weights(experiment.model, weights)
        console.info(f"quantizers: taken over from {weights.path}")
    else:
        console.info(f"quantizers: made afresh, those in {weights.path} are of another kind")


def restored(
    checkpoint: Checkpoint, source: Path, experiment: Experiment, console: Console, show: bool
) -> Experiment:
    """The model of a checkpoint: converted as its recipe says, then loaded strictly.

    Its bit widths are those of the epoch that it is from.

    Args:
        checkpoint: gives the weights.
        source: its file, for messages.
        experiment: the float model built from the checkpoint's recipe.
        console: told about the conversion.
        show: show the table of layers.
    Raises:
        UserError: the model that the recipe builds does not have the checkpoint's names or shapes.
    """
    experiment = quantized(experiment, console, show)
    trained = phase_of(experiment.recipe, checkpoint.metrics.get("phase_epoch"))
    set_quantizers(experiment.model, AS_BUILT, trained)
    load_weights(experiment.model, WeightsFile(source, checkpoint.weights))
    return experiment


def placed(experiment: Experiment) -> nn.Module:
    """The model on its device, in the memory format of the recipe."""
    model = experiment.model.to(experiment.device)
    if experiment.recipe.train.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return model


def example_input(dataset: Dataset) -> Tensor:
    """An image of the data as the model gets it, float32 [1, C, H, W].

    Noise where the first one cannot be read, or there is nothing to see on it.
    """
    part = next((part for part in dataset.parts.values() if len(part) > 0), None)
    if part is not None:
        pixels, unread = part.images.readable(torch.zeros(1, dtype=torch.int64))
        if not unread and int(pixels.max()) > int(pixels.min()):
            mean, std = (torch.tensor(item)[:, None, None] for item in (dataset.mean, dataset.std))
            return pixels.float().div(255).sub(mean).div(std)
    return torch.randn(1, *dataset.shape, generator=torch.Generator().manual_seed(0))


def _refuse_mixing(recipe: Recipe, outputs: int) -> None:
    if recipe.data.augment.mixes:
        raise UserError(
            f"data.augment.mixup and cutmix make labels with a probability for each class of the "
            f"data, which the {outputs} outputs of model {recipe.model.name} do not fit; set "
            "model.kwargs.num_classes, or both to 0."
        )


def _resolved(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with paths made absolute and the choices of the data written out."""
    model, distill = recipe.model, recipe.distill
    return changed(
        recipe,
        {
            "model.name": absolute_name(model.name),
            "model.weights": _absolute(model.weights),
            "data": pinned(recipe.data, dataset),
            "distill.model": distill.model and absolute_name(distill.model),
            "distill.weights": _absolute(distill.weights),
        },
    )


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().absolute())
