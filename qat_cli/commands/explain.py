"""``qat explain``: the meaning of one key of a recipe."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from qat_cli.app.completion import complete_key
from qat_cli.app.options import JsonOption, flags_of
from qat_cli.terminal.console import Console


def explain(
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="A dotted key, or a section.", autocompletion=complete_key
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Explain a key of a recipe: meaning, default, choices.

    Also its bounds, and where it can be set: in a recipe file, as KEY=VALUE, by an option.
    """
    from qat_cli.recipes.explain import explain_key

    console = Console(json)
    found = explain_key(key, flags_of(key))

    def human() -> None:
        console.out(f"{found.key}: {found.meaning}")
        console.out(f"default   {found.default}")
        if found.choices:
            console.out(f"choices   {', '.join(found.choices)}")
        if found.bounds:
            console.out(f"bounds    {', '.join(found.bounds)}")
        console.out(f"set with  {', '.join(found.set_with)}")
        if found.keys:
            console.out_table("", ("key", "meaning"), list(found.keys.items()))

    console.emit_long(asdict(found), human)
