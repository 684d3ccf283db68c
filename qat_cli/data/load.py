"""From the ``data`` section of a recipe to a dataset."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping

from qat_cli.data.dataset import Dataset
from qat_cli.data.digits import load_digits
from qat_cli.data.downloads import DOWNLOADED_SETS, load_downloaded
from qat_cli.data.folder import load_folder
from qat_cli.errors import UserError, did_you_mean
from qat_cli.recipes.schema import AugmentConfig, DataConfig

SOURCES: Mapping[str, Callable[[DataConfig], Dataset]] = {
    "digits": load_digits,
    **dict.fromkeys(DOWNLOADED_SETS, load_downloaded),
}
#: Sets of small grey drawings, whatever number of channels they are given.
DRAWINGS = ("digits", "mnist", "fashion_mnist")


def load_data(config: DataConfig) -> Dataset:
    """The dataset that ``config`` names: one of ``SOURCES``, else an image folder.

    Raises:
        UserError: the name is neither, the folder cannot be used, or ``mean``/``std`` do not fit
            the number of channels.
    """
    dataset = _source(config.name)(config)
    return dataclasses.replace(
        dataset,
        mean=_per_channel("data.mean", config.mean, dataset.mean),
        std=_per_channel("data.std", config.std, dataset.std),
    )


def pinned(config: DataConfig, dataset: Dataset) -> DataConfig:
    """``config`` with everything that was left to the data written out.

    Another folder evaluated with the result is resized and normalised as ``dataset`` was.
    """
    channels, height, width = dataset.shape
    return config.model_copy(
        update={
            "name": dataset.name,
            "image_size": height if height == width else config.image_size,
            "channels": channels,
            "mean": dataset.mean,
            "std": dataset.std,
            "augment": _augmentation(config.augment, dataset),
        }
    )


def _augmentation(config: AugmentConfig, dataset: Dataset) -> AugmentConfig:
    channels, height, width = dataset.shape
    is_drawing = dataset.name in DRAWINGS or channels == 1  # a mirrored digit is none
    padding, flip = config.crop_padding, config.horizontal_flip
    return AugmentConfig(
        crop_padding=min(height, width) // (16 if is_drawing else 8)
        if padding is None
        else padding,
        horizontal_flip=not is_drawing if flip is None else flip,
    )


def _source(name: str) -> Callable[[DataConfig], Dataset]:
    if name in SOURCES:
        return SOURCES[name]
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
