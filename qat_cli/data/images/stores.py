"""Stores of images: in memory, or in files decoded when asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from qat_cli.data.augment.crops import RandomCrops, cropped
from qat_cli.data.images.decode import ImageFormat, check_files, decode_files, refuse_bad_files


class ImageStore(Protocol):
    """A numbered collection of images of one shape.

    Methods may be called by several threads at a time.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        ...

    @property
    def in_memory(self) -> bool:
        """Images are there already; otherwise gathering makes them, which takes time."""
        ...

    @property
    def is_larger_inside(self) -> bool:
        """Images have more to cut from than what is gathered without ``crops``."""
        ...

    def __len__(self) -> int: ...

    def gather(self, index: Tensor, crops: RandomCrops | None = None) -> Tensor:
        """Images at ``index`` (int64 [N]), as uint8 [N, C, H, W].

        Args:
            index: which ones.
            crops: for N images, the part of each that is scaled to the shape; ``None``: whole.
        Raises:
            UserError: a file cannot be used.
        """
        ...

    def readable(self, index: Tensor) -> tuple[Tensor, dict[int, str]]:
        """Like :meth:`gather`, without an error.

        Returns:
            The images, and for each that cannot be read its row and what is wrong.
        """
        ...

    def unreadable(self, index: Tensor) -> dict[int, str]:
        """What :meth:`readable` returns beside the images, at less expense."""
        ...

    def select(self, index: Tensor) -> ImageStore:
        """The store that holds only the images at ``index`` (int64 [N]), in that order."""
        ...

    def in_rgb(self) -> ImageStore:
        """The same grey images with their channel repeated three times."""
        ...


@dataclass(frozen=True)
class MemoryImages:
    """Decoded images: ``pixels`` is uint8 [N, C, H, W]."""

    pixels: Tensor
    in_memory = True
    is_larger_inside = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self.pixels)

    def gather(self, index: Tensor, crops: RandomCrops | None = None) -> Tensor:
        """See :meth:`ImageStore.gather`."""
        images = self.pixels.index_select(0, index)
        return images if crops is None else cropped(images, crops)

    def readable(self, index: Tensor) -> tuple[Tensor, dict[int, str]]:
        """See :meth:`ImageStore.readable`."""
        return self.gather(index), {}

    def unreadable(self, index: Tensor) -> dict[int, str]:
        """None are."""
        return {}

    def select(self, index: Tensor) -> MemoryImages:
        """A copy of the images at ``index``."""
        return MemoryImages(self.gather(index))

    def in_rgb(self) -> MemoryImages:
        """A copy with the grey channel repeated three times."""
        return MemoryImages(gray_to_rgb(self.pixels))


@dataclass(frozen=True)
class FileImages:
    """Images in files, decoded each time they are gathered."""

    paths: Sequence[Path]
    format: ImageFormat
    in_memory = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return self.format.channels, self.format.height, self.format.width

    @property
    def is_larger_inside(self) -> bool:
        """Files that are resized hold more than the centre at the final size."""
        return self.format.resize

    def __len__(self) -> int:
        return len(self.paths)

    def gather(self, index: Tensor, crops: RandomCrops | None = None) -> Tensor:
        """Decode the images at ``index`` (int64 [N]) to uint8 [N, C, H, W].

        Where the files are resized, ``crops`` are cut out of the images as they are in the files.

        Raises:
            UserError: a file is not an image, is damaged, or has another size.
        """
        cut_from_files = crops if self.is_larger_inside else None
        images, bad = decode_files(self._paths(index), self.format, cut_from_files)
        refuse_bad_files(bad, len(index))
        return images if crops is cut_from_files or crops is None else cropped(images, crops)

    def readable(self, index: Tensor) -> tuple[Tensor, dict[int, str]]:
        """See :meth:`ImageStore.readable`."""
        return decode_files(self._paths(index), self.format)

    def unreadable(self, index: Tensor) -> dict[int, str]:
        """See :meth:`ImageStore.unreadable`."""
        return check_files(self._paths(index), self.format)

    def select(self, index: Tensor) -> FileImages:
        """The files at ``index``; nothing is decoded."""
        return dataclasses.replace(self, paths=self._paths(index))

    def in_rgb(self) -> FileImages:
        """The same files, decoded to RGB."""
        return dataclasses.replace(self, format=dataclasses.replace(self.format, channels=3))

    def _paths(self, index: Tensor) -> list[Path]:
        return [self.paths[i] for i in index.tolist()]


def gray_to_rgb(pixels: Tensor) -> Tensor:
    """Repeat the one channel: uint8 [N, 1, H, W] -> [N, 3, H, W]."""
    return pixels.expand(-1, 3, -1, -1).contiguous()


def rgb_to_gray(pixels: Tensor) -> Tensor:
    """Luma of ITU-R BT.601: uint8 [N, 3, H, W] -> [N, 1, H, W]."""
    weight = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    return (pixels.float() * weight).sum(1, keepdim=True).round_().to(torch.uint8)


def resized(pixels: Tensor, size: int | None, center_crop: float = 1.0) -> Tensor:
    """Scale square images, bilinear with antialiasing, and cut ``size`` pixels a side out.

    Args:
        pixels: uint8 [N, C, H, H].
        size: the new side; ``None`` for the present one.
        center_crop: part of the side that is kept, in (0, 1].
    Returns:
        uint8 [N, C, size, size]; ``pixels`` itself where nothing changes.
    """
    side = size or pixels.shape[-1]
    scaled_side = round(side / center_crop)
    margin = (scaled_side - side) // 2
    if scaled_side != pixels.shape[-1]:
        scaled = torch.nn.functional.interpolate(
            pixels.float(),
            size=(scaled_side, scaled_side),
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )
        pixels = scaled.round_().clamp_(0, 255).to(torch.uint8)
    return pixels[..., margin : margin + side, margin : margin + side].contiguous()
