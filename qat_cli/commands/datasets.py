"""``qat datasets``: the data that can be named in a recipe."""

from __future__ import annotations

from dataclasses import asdict

from qat_cli.app.options import JsonOption
from qat_cli.terminal.console import Console


def datasets(
    json: JsonOption = False,
) -> None:
    """List the datasets, and where downloads are kept."""
    from qat_cli.data.catalog import dataset_entries

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
