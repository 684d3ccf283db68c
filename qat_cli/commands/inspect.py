"""``qat inspect``: the layers of a model, their sizes and work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qat_cli.app.given import Given, with_options
from qat_cli.commands.views.costs import costs_document, show_costs
from qat_cli.errors import UserError
from qat_cli.terminal.console import Console

if TYPE_CHECKING:
    from qat_cli.engine import Inspection


@with_options("inspect")
def inspect(given: Given) -> None:
    """Show the layers of a checkpoint, or of a recipe's model.

    For each its bits, packed size, multiply-accumulates, bit operations, and the scales of its
    weights. A checkpoint needs no data; a recipe's data gives the size of the images.
    """
    console, checkpoint = given.console(), given["checkpoint"]
    if checkpoint is not None:
        _refuse_beside_checkpoint(given)
        from qat_cli.engine import inspect_checkpoint

        _answer(inspect_checkpoint(checkpoint, given["model"], console), str(checkpoint), console)
        return
    if given["recipe"] is None:
        raise UserError(
            "what is to be inspected? Give --checkpoint FILE, or --recipe NAME|FILE; for example: "
            "qat inspect --recipe resnet_w4a4"
        )
    recipe = given.load(given["recipe"])
    from qat_cli.engine import inspect_recipe

    _answer(inspect_recipe(recipe, given.names_model, console), recipe.name, console)


def _refuse_beside_checkpoint(given: Given) -> None:
    beside = [f"--{name}" for name in ("recipe", "weights", "data") if given[name] is not None]
    beside += ["KEY=VALUE"] if given.texts else []
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
