"""The 8x8 digits that scikit-learn carries: 1,797 images, no download."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qat_cli.data.sources.source import Source

if TYPE_CHECKING:
    from qat_cli.data.dataset import Dataset
    from qat_cli.recipes.schema import DataConfig
    from qat_cli.terminal.console import Console

DEFAULT_SIZE = 16  # 8x8 leaves nothing after two stages of stride 2
MEAN, STD = 0.305, 0.376  # of all 1,797 images, at 8x8


def load_digits(config: DataConfig, console: Console) -> Dataset:
    """Handwritten digits, grey, scaled from 8x8 to ``image_size`` (16 unless set).

    The test part is a fixed fifth of every class; the validation part is ``val_fraction`` of the
    rest, chosen by ``split_seed``.
    """
    import torch
    from sklearn.datasets import load_digits as sklearn_digits

    from qat_cli.data.dataset import TEST_FRACTION, TEST_SEED, Dataset, Part
    from qat_cli.data.images.stores import MemoryImages, gray_to_rgb, resized

    bunch = sklearn_digits()
    pixels = torch.from_numpy(bunch.images).float().mul(255 / 16).round()  # values are 0 .. 16
    center_crop = config.center_crop or 1.0
    size = config.image_size or DEFAULT_SIZE
    pixels = resized(pixels[:, None].to(torch.uint8), size, center_crop)
    channels = config.channels or 1
    if channels == 3:
        pixels = gray_to_rgb(pixels)
    everything = Part(MemoryImages(pixels), torch.from_numpy(bunch.target).long())
    rest, test = everything.split(TEST_FRACTION, TEST_SEED)
    train, val = rest.split(config.val_fraction, config.split_seed)
    return Dataset(
        name="digits",
        classes=[str(digit) for digit in range(10)],
        mean=[MEAN] * channels,
        std=[STD] * channels,
        parts={"train": train, "val": val, "test": test},
        center_crop=center_crop,
    )


SOURCES = (
    Source(
        name="digits",
        what="handwritten digits",
        images=1797,
        classes=10,
        size="1x8x8",
        load=load_digits,
        kept_in="inside scikit-learn",
        is_drawing=True,
    ),
)
