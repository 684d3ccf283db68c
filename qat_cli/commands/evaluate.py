"""``qat eval``: figures of a checkpoint or of float weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qat_cli.app.given import Given, with_options
from qat_cli.errors import UserError
from qat_cli.terminal.console import Console

if TYPE_CHECKING:
    from qat_cli.engine import Measurement
    from qat_cli.recipes import Recipe


@with_options("eval")
def evaluate(given: Given) -> None:
    """Measure loss and accuracy of a checkpoint or a float model.

    A folder is measured on its test/ part, or val/ where there is no test/. With --checkpoint the
    data is the one it was trained on unless --data names other data.
    """
    _check_together(given)
    asked = _float_recipe(given)  # wrong values are said before anything is read
    from qat_cli.engine import keep_freed_memory, measure_checkpoint, measure_weights

    keep_freed_memory()
    console, split, checkpoint = given.console(), given["split"], given["checkpoint"]
    if checkpoint is not None:
        measurement = measure_checkpoint(checkpoint, split, given.options, console)
    else:
        measurement = measure_weights(asked, split, console)
    _answer(measurement, split, checkpoint or Path(given["weights"]), console)


def _check_together(given: Given) -> None:
    if given["checkpoint"] is not None:
        if given["weights"] is not None:
            raise UserError("give --checkpoint or --weights, not both; a checkpoint has weights")
        return
    if given["backend"] is not None:
        raise UserError("--backend needs --checkpoint: a float model has no quantizers")
    missing = [f"--{name}" for name in ("model", "weights", "data") if given[name] is None]
    if missing:
        raise UserError(
            "what is to be measured? Give --checkpoint FILE, or --model, --weights and --data "
            f"for a float model ({', '.join(missing)} missing)"
        )


def _float_recipe(given: Given) -> Recipe:
    """A recipe without ``quant``, of what the command line says."""
    from qat_cli.recipes import Recipe, changed
    from qat_cli.recipes.schema import ModelConfig

    empty = Recipe(name="float", model=ModelConfig(name=""))
    return changed(empty, given.options, "qat eval")


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
