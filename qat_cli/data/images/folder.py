"""A user's images, in one folder per class.

They stand in one folder or in train/, val/, test/.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from qat_cli.data.dataset import TEST_FRACTION, TEST_SEED, Dataset, Part
from qat_cli.data.images.decode import ImageFormat, image_size
from qat_cli.data.images.stores import FileImages
from qat_cli.errors import UserError
from qat_cli.recipes.schema import DataConfig
from qat_cli.terminal.console import Console

PART_NAMES = ("train", "val", "test")
LAYOUT = "expected <folder>/train/<class>/<image> beside test/ or val/, or <folder>/<class>/<image>"

# The normalisation nearly all published weights for RGB images were trained with.
IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]
GRAY_MEAN, GRAY_STD = [0.5], [0.5]


@dataclass(frozen=True)
class ClassTree:
    """The files of one part, found but not read."""

    root: Path
    files: Mapping[str, list[Path]]

    @property
    def classes(self) -> list[str]:
        """Names of the class folders, sorted: their order is the order of the labels."""
        return sorted(self.files)


def load_folder(config: DataConfig, console: Console) -> Dataset:
    """Images in the image-folder layout; nothing is decoded yet.

    ``test/`` is evaluated, or ``val/`` where there is no ``test/``. With ``train/``, ``val/`` and
    ``test/``, ``val/`` chooses the best checkpoint; otherwise ``val_fraction`` of ``train/`` does.
    One folder of classes, or a lone ``train/``, is split into all three. A lone ``test/`` or
    ``val/`` is enough for evaluation.

    Without ``image_size`` all images must have the size of the first one.

    Raises:
        UserError: the folder is missing or empty, a class is empty, there is one class only, or
            the parts have different classes.
    """
    root = _existing_folder(config.name)
    trees = _find_trees(root)
    classes = _common_classes(root, trees)
    form = _image_format(config, trees)
    parts = {name: _part(tree, classes, form) for name, tree in trees.items()}
    if "train" in parts and len(classes) == 1:
        raise UserError(
            f"data folder {root} has one class only ({classes[0]!r}); a classifier needs at least "
            f"two class folders: {LAYOUT}."
        )
    return Dataset(
        name=str(root),
        classes=classes,
        mean=IMAGENET_MEAN if form.channels == 3 else GRAY_MEAN,
        std=IMAGENET_STD if form.channels == 3 else GRAY_STD,
        parts=_arranged(parts, config),
        center_crop=form.center_crop,
    )


def _existing_folder(name: str) -> Path:
    root = Path(name).expanduser().absolute()
    try:
        mode = root.stat().st_mode
    except OSError as error:
        raise UserError(f"cannot read data folder {root}: {error.strerror}.") from error
    if not stat.S_ISDIR(mode):
        raise UserError(f"data {root} is a file, not a folder; {LAYOUT}.")
    return root


def _find_trees(root: Path) -> dict[str, ClassTree]:
    found = {name: _scan(root / name) for name in PART_NAMES if (root / name).is_dir()}
    return found or {"train": _scan(root)}


def _scan(folder: Path) -> ClassTree:
    files = {entry.name: _files_below(entry) for entry in _visible(folder) if entry.is_dir()}
    if not files:
        what = "has no class folders" if any(_visible(folder)) else "is empty"
        raise UserError(f"data folder {folder} {what}; {LAYOUT}.")
    empty = [name for name, paths in files.items() if not paths]
    if empty:
        raise UserError(
            f"data folder {folder} has no images for {_some(sorted(empty))}; "
            "put images there or remove the folder."
        )
    return ClassTree(folder, files)


def _visible(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise UserError(f"cannot read data folder {folder}: {error.strerror}.") from error


def _files_below(folder: Path) -> list[Path]:
    return sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if not name.startswith(".")
    )


def _common_classes(root: Path, trees: Mapping[str, ClassTree]) -> list[str]:
    first, *others = trees.values()
    for other in others:
        for have, lack in ((first, other), (other, first)):
            missing = [name for name in have.classes if name not in lack.classes]
            if missing:
                raise UserError(
                    f"data folder {root}: {have.root.name}/ has {_some(missing)}, "
                    f"{lack.root.name}/ has not; the parts need the same class folders."
                )
    return first.classes


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    noun = "class" if len(names) == 1 else "classes"
    return f"{noun} {shown}{' ...' if len(names) > 5 else ''}"


def _image_format(config: DataConfig, trees: Mapping[str, ClassTree]) -> ImageFormat:
    channels, side = config.channels or 3, config.image_size
    if side is not None:
        return ImageFormat(channels, side, side, True, config.center_crop or 1.0)
    if config.center_crop not in (None, 1.0):
        raise UserError("data.center_crop is of images that are resized: set data.image_size too.")
    height, width = _first_size(trees, config)
    return ImageFormat(channels, height, width, resize=False)


def _first_size(trees: Mapping[str, ClassTree], config: DataConfig) -> tuple[int, int]:
    tree = next(iter(trees.values()))
    paths = [path for name in tree.classes for path in tree.files[name]]
    for path in paths:
        try:
            return image_size(path)
        except UserError:
            if not config.skip_bad_files:
                raise
    raise UserError(f"none of the {len(paths)} files in {tree.root} is an image.")


def _part(tree: ClassTree, classes: list[str], form: ImageFormat) -> Part:
    paths = [path for name in classes for path in tree.files[name]]
    counts = torch.tensor([len(tree.files[name]) for name in classes])
    labels = torch.repeat_interleave(torch.arange(len(classes)), counts)
    return Part(FileImages(paths, form), labels)


def _arranged(parts: dict[str, Part], config: DataConfig) -> dict[str, Part]:
    if len(parts) == 3:
        return parts
    test = parts.get("test") or parts.get("val")
    train = parts.get("train")
    if train is None:
        assert test is not None
        return {"test": test}
    if test is None:
        train, test = train.split(TEST_FRACTION, TEST_SEED)
    train, val = train.split(config.val_fraction, config.split_seed)
    return {"train": train, "val": val, "test": test}
