"""A data set that a recipe can name: entry and loader."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qat_cli.data.dataset import Dataset
    from qat_cli.recipes.schema import DataConfig
    from qat_cli.terminal.console import Console

Loader = Callable[["DataConfig", "Console"], "Dataset"]


@dataclass(frozen=True)
class Source:
    """One name that ``data.name`` takes.

    Args:
        name: in recipes.
        what: the images in a few words.
        images: how many, all parts together.
        classes: how many.
        size: channels x height x width.
        load: makes the dataset.
        kept_in: where the images are; ``{root}`` stands for :func:`data_root`.
        is_downloaded: on first use.
        is_drawing: small grey drawings, whatever number of channels they are given: shifted less,
            not mirrored.
        smallest_crop: part of the area that a random resized crop keeps where the recipe leaves it
            open; 0 for no such crop.
    """

    name: str
    what: str
    images: int
    classes: int
    size: str
    load: Loader
    kept_in: str = "{root}"
    is_downloaded: bool = False
    is_drawing: bool = False
    smallest_crop: float = 0.0


def data_root(named: str | None) -> Path:
    """Where downloads go: ``data.root``, else ``$QAT_DATA_DIR``, else ``~/.cache/qat/data``."""
    named = named or os.environ.get("QAT_DATA_DIR")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "qat" / "data"
