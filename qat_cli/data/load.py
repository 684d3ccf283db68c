"""From the ``data`` section of a recipe to a dataset."""

from __future__ import annotations

import dataclasses
import os

from qat_cli.data.dataset import Dataset
from qat_cli.data.images.folder import load_folder
from qat_cli.data.registry import SOURCES
from qat_cli.data.sources.source import Loader
from qat_cli.errors import UserError, did_you_mean
from qat_cli.recipes import changed
from qat_cli.recipes.schema import AugmentConfig, DataConfig, FakeConfig
from qat_cli.terminal.console import Console


def load_data(config: DataConfig, console: Console | None = None) -> Dataset:
    """The dataset that ``config`` names: one of ``SOURCES``, else an image folder.

    Args:
        config: the ``data`` section of a recipe.
        console: shows the progress of a download.
    Raises:
        UserError: the name is neither, the folder cannot be used, or ``mean``/``std`` do not fit
            the number of channels.
    """
    dataset = _loader(config.name)(config, console or Console())
    return dataclasses.replace(
        dataset,
        mean=_per_channel("data.mean", config.mean, dataset.mean),
        std=_per_channel("data.std", config.std, dataset.std),
    )


def pinned(config: DataConfig, dataset: Dataset) -> DataConfig:
    """``config`` with everything that was left to the data written out.

    Another folder evaluated with the result is resized and normalised as ``dataset`` was. Mean and
    standard deviation that are still to be measured stay open.
    """
    channels, height, width = dataset.shape
    is_open = config.normalize == "measured"
    return changed(
        config,
        {
            "name": dataset.name,
            "image_size": height if height == width else config.image_size,
            "center_crop": dataset.center_crop,
            "channels": channels,
            "mean": None if is_open else dataset.mean,
            "std": None if is_open else dataset.std,
            "fake": (config.fake or FakeConfig()) if dataset.name == "fake" else None,
            "augment": _augmentation(config.augment, dataset),
        },
    )


def _augmentation(config: AugmentConfig, dataset: Dataset) -> AugmentConfig:
    channels, height, width = dataset.shape
    source = SOURCES.get(dataset.name)
    # A mirrored digit is none.
    is_drawing = channels == 1 or (source is not None and source.is_drawing)
    padding, flip, crop = (
        config.crop_padding,
        config.horizontal_flip,
        config.random_resized_crop,
    )
    if crop is None:
        crop = 0.0 if padding or source is None else source.smallest_crop
    if padding is None:
        padding = 0 if crop else min(height, width) // (16 if is_drawing else 8)
    return changed(
        config,
        {
            "crop_padding": padding,
            "random_resized_crop": crop,
            "horizontal_flip": not is_drawing if flip is None else flip,
        },
    )


def _loader(name: str) -> Loader:
    if name in SOURCES:
        return SOURCES[name].load
    looks_like_path = "/" in name or os.sep in name or name.startswith("~")
    if looks_like_path or os.path.exists(name):
        return load_folder
    raise UserError(
        f"no dataset and no folder is called {name!r}{did_you_mean(name, SOURCES) or '.'} "
        f"Datasets: {', '.join(SOURCES)}; or give the path of an image folder."
    )


def _per_channel(key: str, given: list[float] | None, default: list[float]) -> list[float]:
    if given is None:
        return default
    if len(given) not in (1, len(default)):
        raise UserError(
            f"{key} has {len(given)} numbers but the images have {len(default)} channels; "
            f"give one number, or {len(default)}."
        )
    return list(given) * (len(default) // len(given))
