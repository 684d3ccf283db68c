"""``qat inspect``: the layers of a model, with their bits, sizes and work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qat_cli.app.options import (
    DataOption,
    JsonOption,
    ModelOption,
    OverridesArgument,
    QuietOption,
    RecipeOption,
    WeightsOption,
    named_keys,
    names_model,
)
from qat_cli.commands.views.costs import costs_document, show_costs
from qat_cli.errors import UserError
from qat_cli.terminal.console import Console

if TYPE_CHECKING:
    from qat_cli.engine import Inspection


def inspect(
    overrides: OverridesArgument = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="A checkpoint that qat wrote."),
    ] = None,
    recipe: RecipeOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show the layers of a checkpoint, or of a recipe's model.

    For each its bits, packed size, multiply-accumulates, bit operations, and the scales of its
    weights. A checkpoint needs no data; a recipe's data gives the size of the images.
    """
    console = Console(json, quiet)
    if checkpoint is not None:
        _refuse_beside_checkpoint(recipe, overrides, weights, data)
        from qat_cli.engine import inspect_checkpoint

        _answer(inspect_checkpoint(checkpoint, model, console), str(checkpoint), console)
        return
    if recipe is None:
        raise UserError(
            "what is to be inspected? Give --checkpoint FILE, or --recipe NAME|FILE; for example: "
            "qat inspect --recipe resnet_w4a4"
        )
    from qat_cli.recipes import load_recipe

    options = {"model": model, "weights": weights, "data": data}
    changes = overrides or []
    chosen = load_recipe(recipe, changes, options)
    from qat_cli.engine import inspect_recipe

    found = inspect_recipe(chosen, names_model(named_keys(changes, options)), console)
    _answer(found, chosen.name, console)


def _refuse_beside_checkpoint(
    recipe: str | None, overrides: list[str] | None, weights: str | None, data: str | None
) -> None:
    given = {"--recipe": recipe, "--weights": weights, "--data": data, "KEY=VALUE": overrides}
    beside = [name for name, value in given.items() if value]
    if beside:
        raise UserError(
            f"a checkpoint has its recipe, weights and size of images: leave {', '.join(beside)} "
            "out, or leave --checkpoint out"
        )


def _answer(found: Inspection, source: str, console: Console) -> None:
    from qat_cli.report import finite

    recipe = found.experiment.recipe
    size = "x".join(map(str, found.experiment.dataset.shape))
    document = {
        "command": "inspect",
        "source": source,
        "recipe": recipe.name,
        "model": recipe.model.name,
        "input_shape": list(found.experiment.dataset.shape),
        **costs_document(found.costs),
    }
    title = f"{source}: {recipe.model.name}, images {size}"
    console.emit(
        finite(document), lambda: show_costs(title, found.costs, console, with_scales=True)
    )
