"""``qat eval``: measure a checkpoint, or a float model with weights from a file."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qat_cli.app.options import (
    BackendOption,
    BatchSizeOption,
    DataOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    QuietOption,
    SkipBadFilesOption,
)
from qat_cli.errors import UserError
from qat_cli.terminal.console import Console

if TYPE_CHECKING:
    from qat_cli.engine import Measurement


class Split(str, Enum):
    """A part of the data."""

    train = "train"
    val = "val"
    test = "test"


def evaluate(
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="A checkpoint that qat wrote."),
    ] = None,
    model: ModelOption = None,
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="FILE", help="Weights of a float model.")
    ] = None,
    data: DataOption = None,
    skip_bad_files: SkipBadFilesOption = None,
    split: Annotated[Split, typer.Option("--split", help="The part to measure.")] = Split.test,
    batch_size: BatchSizeOption = None,
    device: DeviceOption = None,
    backend: BackendOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure loss and accuracy of a checkpoint or a float model.

    A folder is measured on its test/ part, or val/ where there is no test/. With --checkpoint the
    data is the one it was trained on unless --data names other data.
    """
    _check_arguments(checkpoint, model, weights, data, batch_size, backend)
    from qat_cli.engine import keep_freed_memory, measure_checkpoint, measure_weights

    keep_freed_memory()
    console = Console(json, quiet)
    if checkpoint is not None:
        changes = {
            "model": model,
            "data": data,
            "skip_bad_files": skip_bad_files,
            "batch_size": batch_size,
            "device": device,
            "backend": backend,
        }
        measurement = measure_checkpoint(checkpoint, split.value, changes, console)
    else:
        recipe = _float_recipe(model, weights, data, skip_bad_files, batch_size, device)
        measurement = measure_weights(recipe, split.value, console)
    _answer(measurement, split.value, checkpoint or Path(str(weights)), console)


def _check_arguments(
    checkpoint: Path | None,
    model: str | None,
    weights: str | None,
    data: str | None,
    batch_size: int | None,
    backend: str | None,
) -> None:
    if batch_size is not None and batch_size < 1:
        raise UserError(f"--batch-size must be at least 1, got {batch_size}")
    if checkpoint is not None:
        if weights is not None:
            raise UserError("give --checkpoint or --weights, not both; a checkpoint has weights")
        return
    missing = [
        option
        for option, value in (("--model", model), ("--weights", weights), ("--data", data))
        if value is None
    ]
    if backend is not None:
        raise UserError("--backend needs --checkpoint: a float model has no quantizers")
    if missing:
        raise UserError(
            "what is to be measured? Give --checkpoint FILE, or --model, --weights and --data "
            f"for a float model ({', '.join(missing)} missing)"
        )


def _float_recipe(
    model: str | None,
    weights: str | None,
    data: str | None,
    skip_bad_files: bool | None,
    batch_size: int | None,
    device: str | None,
) -> Any:
    from qat_cli.recipes import recipe_from_tree

    train = {"eval_batch_size": batch_size, "device": device}
    tree = {
        "name": "float",
        "model": {"name": model, "weights": weights},
        "data": {"name": data, "skip_bad_files": bool(skip_bad_files)},
        "train": {key: value for key, value in train.items() if value is not None},
    }
    return recipe_from_tree(tree, "command line")


def _answer(measurement: Measurement, split: str, source: Path, console: Console) -> None:
    from qat_cli.report import finite

    metrics, recipe = measurement.metrics, measurement.experiment.recipe
    verdict = _verdict(measurement)
    document = {
        "command": "eval",
        "weights": str(source),
        "model": recipe.model.name,
        "data": recipe.data.name,
        "split": split,
        "device": str(measurement.experiment.device),
        "backend": measurement.backend,
        **metrics.as_dict(),
        "recorded": measurement.recorded and dict(measurement.recorded),
        "matches_recorded": measurement.matches,
    }

    def human() -> None:
        console.out(f"{source} on {recipe.data.name} ({split}, {metrics.images} images)")
        console.out(f"top-1  {metrics.top1:.2f} %")
        console.out(f"top-5  {metrics.top5:.2f} %")
        console.out(f"loss   {metrics.loss:.4f}")
        if verdict:
            console.out(verdict)

    console.emit(finite(document), human)


def _verdict(measurement: Measurement) -> str:
    recorded = measurement.recorded
    if recorded is None:
        return ""
    if measurement.matches:
        return "exactly the figures recorded in the checkpoint"
    return (
        f"the checkpoint records top-1 {recorded['top1']:.2f} %, loss {recorded['loss']:.4f}; "
        "another device, batch size or torch version sums in another order"
    )
