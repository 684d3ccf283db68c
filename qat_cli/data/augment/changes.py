"""Random changes of batches of training images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from qat_cli.recipes.schema import AugmentConfig

#: uint8 [N, C, H, W] and a source of randomness to changed images of that shape.
Change = Callable[[Tensor, torch.Generator], Tensor]

# Of an erased rectangle: part of the area, and height to width (Zhong et al. 2017,
# arXiv:1708.04896, with the numbers of torchvision).
ERASED_AREA = (0.02, 0.33)
ERASED_RATIO = (0.3, 3.3)


def random_changes(config: AugmentConfig, mean: list[float]) -> list[Change]:
    """The changes that ``config`` asks for, in the order in which they are made.

    Random resized crops are not among them: they are cut out while images are read.

    Args:
        config: what to do.
        mean: colour per channel, in [0, 1], of what is erased or moved in.
    """
    fill = [float(round(255 * channel)) for channel in mean]
    changes: list[tuple[object, Change]] = [
        (config.crop_padding, partial(_shifted, padding=config.crop_padding or 0)),
        (config.horizontal_flip, _mirrored),
        (config.rand_augment, partial(_rand_augmented, config=config, fill=fill)),
        (config.random_erasing, partial(_erased, probability=config.random_erasing, fill=fill)),
    ]
    return [change for is_wanted, change in changes if is_wanted]


def is_costly(config: AugmentConfig) -> bool:
    """The changes take so long that they are worth making while the model works."""
    return bool(config.rand_augment or config.random_resized_crop)


def augmented(
    images: Tensor, config: AugmentConfig, mean: list[float], generator: torch.Generator
) -> Tensor:
    """Each image changed on its own, as ``config`` says.

    Args:
        images: uint8 [N, C, H, W] on the CPU.
        config: what to do.
        mean: colour per channel, in [0, 1], of what is erased or moved in.
        generator: source of randomness; the same state gives the same result.
    Returns:
        uint8 [N, C, H, W]; what a shift by ``crop_padding`` brings in is black.
    """
    for change in random_changes(config, mean):
        images = change(images, generator)
    return images


def _shifted(images: Tensor, generator: torch.Generator, padding: int) -> Tensor:
    count, channels, height, width = images.shape
    padded = F.pad(images, (padding, padding, padding, padding))
    stride = width + 2 * padding
    row, column = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator)
    window = (torch.arange(height)[:, None] * stride + torch.arange(width)).flatten()  # [H*W]
    index = (row * stride + column + window)[:, None, :].expand(-1, channels, -1)  # [N, C, H*W]
    return padded.flatten(2).gather(2, index).view(images.shape)


def _mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def _rand_augmented(
    images: Tensor, generator: torch.Generator, config: AugmentConfig, fill: list[float]
) -> Tensor:
    from qat_cli.data.augment.rand_augment import rand_augmented  # imports torchvision's transforms

    return rand_augmented(
        images, config.rand_augment, config.rand_augment_operations, fill, generator
    )


def _erased(
    images: Tensor, generator: torch.Generator, probability: float, fill: list[float]
) -> Tensor:
    count, _, height, width = images.shape
    chosen, area, ratio, top, left = torch.rand(5, count, generator=generator)
    area = height * width * (ERASED_AREA[0] + area * (ERASED_AREA[1] - ERASED_AREA[0]))
    ratio = ERASED_RATIO[0] * (ERASED_RATIO[1] / ERASED_RATIO[0]) ** ratio
    # A rectangle that would stick out is cut short, so every chosen image loses something.
    high = (area * ratio).sqrt().round().clamp(1, height)
    wide = (area / ratio).sqrt().round().clamp(1, width)
    in_rows = _inside(height, top, high)[:, None, :, None]
    in_columns = _inside(width, left, wide)[:, None, None, :]
    is_erased = in_rows & in_columns & (chosen < probability)[:, None, None, None]
    colour = torch.tensor(fill, dtype=torch.uint8)[None, :, None, None]
    return torch.where(is_erased, colour, images)


def _inside(side: int, position: Tensor, length: Tensor) -> Tensor:
    # position [N] in [0, 1), length [N] in 1 .. side -> bool [N, side], true along the rectangle
    begin = (position * (side - length + 1)).floor()[:, None]
    place = torch.arange(side)
    return (place >= begin) & (place < begin + length[:, None])
