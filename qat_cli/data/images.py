"""Where images come from: a tensor in memory, or files that are decoded when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from qat_cli.data.decode import ImageFormat, decode_files


class ImageStore(Protocol):
    """A numbered collection of images of one shape."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        ...

    def __len__(self) -> int: ...

    def gather(self, index: Tensor) -> Tensor:
        """Images at ``index`` (int64 [N]), as uint8 [N, C, H, W]."""
        ...

    def select(self, index: Tensor) -> ImageStore:
        """The store that holds only the images at ``index`` (int64 [N]), in that order."""
        ...


@dataclass(frozen=True)
class MemoryImages:
    """Decoded images: ``pixels`` is uint8 [N, C, H, W]."""

    pixels: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self.pixels)

    def gather(self, index: Tensor) -> Tensor:
        """Images at ``index`` (int64 [N]), as uint8 [N, C, H, W]."""
        return self.pixels.index_select(0, index)

    def select(self, index: Tensor) -> MemoryImages:
        """A copy of the images at ``index``."""
        return MemoryImages(self.gather(index))


@dataclass(frozen=True)
class FileImages:
    """Images in files, decoded by ``workers`` threads each time they are gathered."""

    paths: Sequence[Path]
    format: ImageFormat
    workers: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return self.format.channels, self.format.height, self.format.width

    def __len__(self) -> int:
        return len(self.paths)

    def gather(self, index: Tensor) -> Tensor:
        """Decode the images at ``index`` (int64 [N]) to uint8 [N, C, H, W].

        Raises:
            UserError: a file is no image, is damaged, or has another size.
        """
        return decode_files([self.paths[i] for i in index.tolist()], self.format, self.workers)

    def select(self, index: Tensor) -> FileImages:
        """The files at ``index``; nothing is decoded."""
        return FileImages([self.paths[i] for i in index.tolist()], self.format, self.workers)


def gray_to_rgb(pixels: Tensor) -> Tensor:
    """Repeat the one channel: uint8 [N, 1, H, W] -> [N, 3, H, W]."""
    return pixels.expand(-1, 3, -1, -1).contiguous()


def resized(pixels: Tensor, size: int | None) -> Tensor:
    """Scale square images to ``size`` pixels a side, bilinear with antialiasing.

    Args:
        pixels: uint8 [N, C, H, H].
        size: the new side; ``None`` or the present side returns ``pixels`` itself.
    Returns:
        uint8 [N, C, size, size].
    """
    if size is None or size == pixels.shape[-1]:
        return pixels
    scaled = torch.nn.functional.interpolate(
        pixels.float(), size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return scaled.round_().clamp_(0, 255).to(torch.uint8)
