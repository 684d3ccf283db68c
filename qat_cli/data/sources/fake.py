"""Images made up by the program, of any size and number.

No download.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qat_cli.data.sources.source import Source
from qat_cli.errors import UserError

if TYPE_CHECKING:
    from qat_cli.data.dataset import Dataset
    from qat_cli.recipes.schema import DataConfig
    from qat_cli.terminal.console import Console

IMAGE_SIZE, CHANNELS = 32, 3
MEAN, STD = 0.5, 0.25  # about those of patterns with noise, and of noise alone


def load_fake(config: DataConfig, console: Console) -> Dataset:
    """Images as ``config.fake`` says, RGB and 32x32 unless set otherwise.

    Learnable ones are a pattern of soft patches, one for each class, under noise; a model tells
    them apart soon. The others are noise, on which no model beats chance. Every class has as many
    images, to within one. A fixed fifth is the test part.

    Raises:
        UserError: a key asks for what these images cannot be.
    """
    import torch

    from qat_cli.data.dataset import TEST_FRACTION, TEST_SEED, Dataset, Part
    from qat_cli.data.images.made_up import FakeImages, random_patterns
    from qat_cli.recipes.schema import FakeConfig

    fake = config.fake or FakeConfig()
    if config.center_crop not in (None, 1.0):
        raise UserError("data.center_crop has no meaning for data 'fake': leave it out.")
    if fake.images < 3 * fake.classes:
        raise UserError(
            f"data.fake.images is {fake.images}, less than 3 for each of data.fake.classes "
            f"({fake.classes}): too few for a training, a validation and a test part."
        )
    channels, side = config.channels or CHANNELS, config.image_size or IMAGE_SIZE
    shape = (channels, side, side)
    labels = torch.arange(fake.images) % fake.classes
    patterns = random_patterns(fake.classes, shape, fake.seed) if fake.learnable else None
    images = FakeImages(torch.arange(fake.images), labels, patterns, shape, fake.seed)
    rest, test = Part(images, labels).split(TEST_FRACTION, TEST_SEED)
    train, val = rest.split(config.val_fraction, config.split_seed)
    return Dataset(
        name="fake",
        classes=[str(number) for number in range(fake.classes)],
        mean=[MEAN] * channels,
        std=[STD] * channels,
        parts={"train": train, "val": val, "test": test},
    )


SOURCES = (
    Source(
        name="fake",
        what="made up, learnable or not",
        images=2000,
        classes=10,
        size="3x32x32",
        load=load_fake,
        kept_in="nowhere",
    ),
)
