"""Mean and standard deviation of the training images, measured."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from qat_cli.data.dataset import Dataset
from qat_cli.data.images.decode import refuse_bad_files
from qat_cli.data.images.preload import chunks_of
from qat_cli.data.images.stores import ImageStore
from qat_cli.errors import UserError
from qat_cli.recipes.schema import DataConfig
from qat_cli.terminal.console import Console

VALUES = 256  # of a uint8
DIGITS = 6  # a recipe is also for reading


def measured(
    dataset: Dataset, config: DataConfig, console: Console
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel of all pixels of the training part, in [0, 1].

    The values of the pixels are counted, so the result is exact and the same in every order. Bad
    files do not count where ``config.skip_bad_files`` says so.

    Raises:
        UserError: there is no training part, a file cannot be used, or a channel is constant.
    """
    images = dataset.part("train").images
    counts = torch.zeros(dataset.shape[0], VALUES, dtype=torch.int64)
    work = partial(_counted, images)
    for index, found, bad in chunks_of(images, work, config, "measuring mean and std", console):
        if not config.skip_bad_files:
            refuse_bad_files(bad, len(index))
        counts += found
    mean, std = _moments(counts)
    if min(std) == 0:
        raise UserError(
            f"data {dataset.name!r}: all training images have the same value in channel "
            f"{std.index(0)}, so they cannot be normalised; give data.mean and data.std."
        )
    shown = ", ".join(f"{m:.4f}" for m in mean), ", ".join(f"{s:.4f}" for s in std)
    console.info(f"measured on {len(images)} training images: mean {shown[0]}; std {shown[1]}")
    return mean, std


def _counted(images: ImageStore, index: Tensor) -> tuple[Tensor, dict[int, str]]:
    # How often each value occurs: int64 [C, VALUES].
    pixels, bad = images.readable(index)
    good = [row for row in range(len(index)) if row not in bad]
    channels = pixels[good].transpose(0, 1).flatten(1)  # (N, C, H, W) -> (C, N*H*W)
    return torch.stack([channel.bincount(minlength=VALUES) for channel in channels]), bad


def _moments(counts: Tensor) -> tuple[list[float], list[float]]:
    share = counts.double() / counts.sum(1, keepdim=True)
    value = torch.arange(VALUES, dtype=torch.float64) / (VALUES - 1)
    mean = share @ value
    variance = (share * (value - mean[:, None]).square()).sum(1)
    return _rounded(mean), _rounded(variance.sqrt())


def _rounded(numbers: Tensor) -> list[float]:
    return [round(number, DIGITS) for number in numbers.tolist()]
