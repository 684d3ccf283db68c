"""Random changes of whole batches of training images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from qat_cli.recipes.schema import AugmentConfig


def augmented(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Each image shifted and mirrored on its own, as ``config`` says.

    Args:
        images: uint8 [N, C, H, W] on the CPU.
        config: what to do.
        generator: source of randomness; the same state gives the same result.
    Returns:
        uint8 [N, C, H, W]; what a shift brings in is black.
    """
    if config.crop_padding:
        images = _shifted(images, config.crop_padding, generator)
    if config.horizontal_flip:
        images = _mirrored(images, generator)
    return images


def _shifted(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
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
