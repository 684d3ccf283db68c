"""The list of datasets by name, without loading any."""

from __future__ import annotations

from dataclasses import dataclass

from qat_cli.data.registry import SOURCES
from qat_cli.data.sources.source import data_root


@dataclass(frozen=True)
class DatasetEntry:
    """One dataset; ``images``, ``classes`` and ``size`` are ``None`` where the folder decides."""

    name: str
    what: str
    images: int | None
    classes: int | None
    size: str | None
    download: bool
    kept_in: str


def dataset_entries() -> list[DatasetEntry]:
    """Every name that ``data.name`` takes, then image folders."""
    root = str(data_root(None))
    named = [
        DatasetEntry(
            source.name,
            source.what,
            source.images,
            source.classes,
            source.size,
            source.is_downloaded,
            source.kept_in.format(root=root),
        )
        for source in SOURCES.values()
    ]
    folder = "class folders of images of your own"
    return [*named, DatasetEntry("FOLDER", folder, None, None, None, False, "its path")]
