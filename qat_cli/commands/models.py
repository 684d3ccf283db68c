"""``qat models``: the models that can be named in a recipe."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from qat_cli.app.options import JsonOption
from qat_cli.errors import UserError, did_you_mean
from qat_cli.terminal.console import Console


def models(
    part: Annotated[str, typer.Argument(metavar="PART", help="Only names with this in.")] = "",
    json: JsonOption = False,
) -> None:
    """List the models: built in, torchvision's, and timm's.

    Those of torchvision are its classifiers; those of timm are listed where it is installed.
    """
    from qat_cli.models.catalog import model_entries

    console = Console(json)
    everything = model_entries()
    found = [entry for entry in everything if part.lower() in entry.name]
    if not found:
        near = did_you_mean(part, [entry.name for entry in everything])
        raise UserError(f"no model has {part!r} in its name{near}")

    def human() -> None:
        rows = [
            (
                entry.name,
                entry.source,
                "-" if entry.parameters is None else f"{entry.parameters:,}",
                entry.image_size or ("any" if entry.source == "built in" else "-"),
            )
            for entry in found
        ]
        console.out_table("", ("model", "from", "parameters", "image size"), rows)
        console.out("\nOr your own:  --model path/to/file.py:factory")
        if not any(entry.source == "timm" for entry in everything):
            console.out("More:         pip install timm, then --model timm:NAME")

    console.emit_long([asdict(entry) for entry in found], human)
