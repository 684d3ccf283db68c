"""``qat datasets``: which data can be named in a recipe."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from qat_cli.terminal.console import Console


def datasets(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the datasets, and where downloads are kept."""
    from qat_cli.data.sources.catalog import dataset_entries

    console = Console(json)
    found = dataset_entries()
    columns = ("dataset", "what", "images", "classes", "size", "download", "kept in")

    def human() -> None:
        rows = [
            (
                entry.name,
                entry.what,
                "-" if entry.images is None else f"{entry.images:,}",
                entry.classes or "-",
                entry.size or "-",
                "once" if entry.download else "no",
                entry.kept_in,
            )
            for entry in found
        ]
        console.out_table("", columns, rows)

    console.emit([asdict(entry) for entry in found], human)
