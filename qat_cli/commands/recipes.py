"""``qat recipes``: list, show, copy, check and compare recipes."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qat_cli.app.completion import complete_key, complete_recipe
from qat_cli.app.help import Command, examples
from qat_cli.app.options import JsonOption
from qat_cli.errors import UserError
from qat_cli.terminal.console import Console

if TYPE_CHECKING:
    from qat_cli.recipes import Recipe

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, show, copy, check and compare recipes.",
)


@app.command("list", cls=Command, epilog=examples("qat recipes list"))
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

    console.emit_long(rows, human)


@app.command(
    "show",
    cls=Command,
    epilog=examples(
        "qat recipes show resnet_w4a4",
        "qat recipes show resnet_w4a4 quant.weight.bit_width=2",
        "qat recipes show mine.yaml --resolved",
    ),
)
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE", help="A shipped recipe, or a file.", autocompletion=complete_recipe
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Changes, e.g. quant.weight.bit_width=2."),
    ] = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Write out every key, with its default.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show a recipe: the file, or what KEY=VALUE makes of it."""
    from qat_cli.recipes import dump_recipe, load_recipe, recipe_path

    console = Console(json)
    recipe = load_recipe(name, overrides or [])

    def human() -> None:
        if overrides or resolved:
            console.out(dump_recipe(recipe).rstrip())
        else:
            console.out(recipe_path(name).read_text(encoding="utf-8").rstrip())

    console.emit_long(recipe.model_dump(mode="json"), human)


@app.command("keys", cls=Command, epilog=examples("qat recipes keys", "qat recipes keys train"))
def keys(
    prefix: Annotated[
        str,
        typer.Argument(
            metavar="PREFIX",
            help="Only keys that begin so, e.g. train or quant.rules.",
            autocompletion=complete_key,
        ),
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

    console.emit_long([dict(zip(columns, row, strict=True)) for row in rows], human)


@app.command("copy", cls=Command, epilog=examples("qat recipes copy resnet_w4a4 mine.yaml"))
def copy(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A shipped recipe, or a file.", autocompletion=complete_recipe
        ),
    ],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to; default: NAME.yaml here.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    json: JsonOption = False,
) -> None:
    """Copy a recipe with its comments to a file of your own."""
    from qat_cli.recipes import recipe_path

    console = Console(json)
    source = recipe_path(name)
    target = file if file is not None else Path(source.name)
    if target.is_dir():
        target = target / source.name
    if target.exists() and target.samefile(source):
        raise UserError(f"{target} is the recipe itself; name another file")
    if target.exists() and not force:
        raise UserError(f"{target} exists; name another file, or overwrite it with --force")
    try:
        target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from None
    shown = target if target.suffix in (".yaml", ".yml") else f"./{target}"

    def human() -> None:
        console.out(f"{target}\nRun it:  qat train --recipe {shown}")

    console.emit({"recipe": name, "file": str(target)}, human)


@app.command("validate", cls=Command, epilog=examples("qat recipes validate mine.yaml other.yaml"))
def validate(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Recipe files, or names of shipped ones.",
            autocompletion=complete_recipe,
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Check recipes, and report all problems of all files at once.

    The exit code is 2 where there are any.
    """
    from qat_cli.recipes import InvalidRecipe, load_recipe

    console = Console(json)
    document: list[dict[str, Any]] = []
    for file in files:
        problems: list[str] = []
        try:
            load_recipe(file)
        except InvalidRecipe as error:
            problems = error.problems
        except UserError as error:
            problems = [str(error)]
        document.append({"file": file, "valid": not problems, "problems": problems})

    def human() -> None:
        for entry in document:
            if entry["valid"]:
                console.out(f"{entry['file']}: valid")
            for problem in entry["problems"]:
                console.error(f"{entry['file']}: {problem}")

    console.emit(document, human)
    if any(entry["problems"] for entry in document):
        raise typer.Exit(UserError.exit_code)


@app.command("diff", cls=Command, epilog=examples("qat recipes diff resnet_w4a4 mine.yaml"))
def diff(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A shipped recipe, or a file.", autocompletion=complete_recipe
        ),
    ],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B", help="A shipped recipe, or a file.", autocompletion=complete_recipe
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Show in which keys two recipes differ.

    Both are resolved first; '-' stands where one has no such key.
    """
    from qat_cli.recipes import load_recipe
    from qat_cli.recipes.comparison import differences

    console = Console(json)
    found = differences(load_recipe(a), load_recipe(b))

    def shown(entry: dict[str, Any], side: str) -> str:
        return dumps(entry[side], ensure_ascii=False) if side in entry else "-"

    def human() -> None:
        if not found:
            console.out("no difference")
            return
        rows = [(entry["key"], shown(entry, "a"), shown(entry, "b")) for entry in found]
        console.out_table("", ("key", a, b), rows)

    console.emit_long({"a": a, "b": b, "differences": found}, human)


@app.command("schema", cls=Command, epilog=examples("qat recipes schema > recipe.schema.json"))
def schema() -> None:
    """Print the JSON Schema of a recipe file.

    Editors that know it complete keys and mark mistakes.
    """
    from qat_cli.recipes.json_schema import recipe_json_schema

    Console(json_output=True).print_json(recipe_json_schema())


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
        count = len(recipe.quant.rules)
        words.append("1 rule" if count == 1 else f"{count} rules")
    return ", ".join(words)


def _format_name(quantizer: str, overrides: dict[str, Any]) -> str:
    if "bit_width" in overrides:
        return f"{overrides['bit_width']} bit"
    for word, name in (("Binary", "binary"), ("Ternary", "ternary"), ("int8", "8 bit")):
        if word in quantizer or word in quantizer.lower():
            return name
    return quantizer
