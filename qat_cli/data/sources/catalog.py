"""What datasets there are by name, without loading any."""

from __future__ import annotations

from dataclasses import dataclass

from qat_cli.data.sources.downloads import data_root
from qat_cli.recipes.schema import DataConfig


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
    root = str(data_root(DataConfig()))
    return [
        DatasetEntry(
            "digits", "handwritten digits", 1797, 10, "1x8x8", False, "inside scikit-learn"
        ),
        DatasetEntry("mnist", "handwritten digits", 70_000, 10, "1x28x28", True, root),
        DatasetEntry("fashion_mnist", "clothes", 70_000, 10, "1x28x28", True, root),
        DatasetEntry("cifar10", "small photographs", 60_000, 10, "3x32x32", True, root),
        DatasetEntry("cifar100", "small photographs", 60_000, 100, "3x32x32", True, root),
        DatasetEntry(
            "imagenet", "photographs", 1_331_167, 1000, "3x224x224", False, f"{root}/imagenet"
        ),
        DatasetEntry("fake", "made up, learnable or not", 2000, 10, "3x32x32", False, "nowhere"),
        DatasetEntry(
            "FOLDER", "class folders of images of your own", None, None, None, False, "its path"
        ),
    ]
