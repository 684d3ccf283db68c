"""``qat recipes``: what ships, what one recipe says, and which keys there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from qat_cli.console import Console
from qat_cli.errors import UserError

if TYPE_CHECKING:
    from qat_cli.recipes import Recipe

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List and show recipes, and the keys they can have.",
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_command(json: JsonOption = False) -> None:
    """List the recipes that ship with the program."""
    from qat_cli.recipes import list_recipes, load_recipe, recipe_path

    console = Console(json)
    rows = [
        {
            "name": name,
            "description": recipe.description,
            "model": recipe.model.name,
            "data": recipe.data.name,
            "quantization": summarize_quantization(recipe),
            "file": str(recipe_path(name)),
        }
        for name, recipe in ((name, load_recipe(name)) for name in list_recipes())
    ]
    columns = ("name", "description", "model", "data", "quantization")

    def human() -> None:
        console.out_table("", columns, [[row[column] for column in columns] for row in rows])
        console.out("\nRun one:  qat train --recipe NAME     Read one:  qat recipes show NAME")

    console.emit(rows, human)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A shipped recipe, or a file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Changes, e.g. quant.weight.bit_width=2."),
    ] = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Write out every key, with its default.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show a recipe: the file as it is, or with KEY=VALUE the resolved result."""
    from qat_cli.recipes import dump_recipe, load_recipe, recipe_path

    console = Console(json)
    recipe = load_recipe(name, overrides or [])

    def human() -> None:
        if overrides or resolved:
            console.out(dump_recipe(recipe).rstrip())
        else:
            console.out(recipe_path(name).read_text(encoding="utf-8").rstrip())

    console.emit(recipe.model_dump(mode="json"), human)


@app.command("keys")
def keys(
    prefix: Annotated[
        str, typer.Argument(help="Only keys that begin so, e.g. train or quant.rules.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """List the keys that KEY=VALUE and recipe files can set."""
    from qat_cli.errors import did_you_mean
    from qat_cli.recipes.keys import known_keys

    console = Console(json)
    everything = known_keys()
    found = [entry for entry in everything if entry.key.startswith(prefix)]
    if not found:
        near = did_you_mean(prefix, [entry.key for entry in everything])
        raise UserError(f"no key begins with {prefix!r}{near}")
    rows = [(entry.key, entry.default, entry.description) for entry in found]
    columns = ("key", "default", "description")

    def human() -> None:
        console.out_table("", columns, rows)

    console.emit([dict(zip(columns, row, strict=True)) for row in rows], human)


def summarize_quantization(recipe: Recipe) -> str:
    """What is quantized by default, in a few words, e.g. ``weight 4 bit, activation 4 bit``."""
    if recipe.quant is None:
        return "none (float)"
    words = []
    for role in ("weight", "bias", "input", "output", "activation", "add"):
        config: Any = getattr(recipe.quant, role)
        if config is not None:
            words.append(f"{role} {_format_name(config.quantizer, config.overrides)}")
    if recipe.quant.rules:
        words.append(f"{len(recipe.quant.rules)} rules")
    return ", ".join(words)


def _format_name(quantizer: str, overrides: dict[str, Any]) -> str:
    if "bit_width" in overrides:
        return f"{overrides['bit_width']} bit"
    for word, name in (("Binary", "binary"), ("Ternary", "ternary"), ("int8", "8 bit")):
        if word in quantizer or word in quantizer.lower():
            return name
    return quantizer
