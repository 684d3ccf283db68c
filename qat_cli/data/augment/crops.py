"""Random parts of images, scaled to the full size.

Which part depends on the size of the image, which for a file is known only once it is open. So the
random numbers are drawn for a whole batch beforehand, and become boxes image by image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

ATTEMPTS = 10  # a part that is wider or higher than the image is drawn again, so many times
RATIO_RANGE = (3 / 4, 4 / 3)  # width to height, as Szegedy et al. 2014 (arXiv:1409.4842) have it


@dataclass(frozen=True)
class Box:
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class RandomCrops:
    """What part of each image of a batch is cut out.

    Args:
        smallest: least part of the area, in (0, 1]; the area is uniform from there to the whole.
        numbers: float64 [N, ``ATTEMPTS`` + 1, 2], uniform in [0, 1): for each image the area and
            the ratio of the sides of each attempt, then the position.
    """

    smallest: float
    numbers: Tensor

    @classmethod
    def drawn(cls, count: int, smallest: float, generator: torch.Generator) -> RandomCrops:
        """Crops for ``count`` images; the same state of ``generator`` gives the same ones."""
        shape = (count, ATTEMPTS + 1, 2)
        return cls(smallest, torch.rand(shape, generator=generator, dtype=torch.float64))

    def box(self, row: int, height: int, width: int) -> Box:
        """The part of image number ``row``, whose size is ``height`` by ``width``.

        An image so long that no attempt fits gives up its centre, as square as the ratios ask.
        """
        *attempts, position = self.numbers[row].tolist()
        for area_number, ratio_number in attempts:
            area = height * width * (self.smallest + area_number * (1 - self.smallest))
            ratio = _between(*RATIO_RANGE, ratio_number)
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                top, left = (
                    int(number * (side - part + 1))
                    for number, side, part in zip(position, (height, width), (h, w), strict=True)
                )
                return Box(top, left, h, w)
        return _centre(height, width)


def cropped(images: Tensor, crops: RandomCrops) -> Tensor:
    """The part of each image that ``crops`` names, scaled to the full size (bilinear).

    Args:
        images: uint8 [N, C, H, W] on the CPU.
        crops: for N images.
    Returns:
        uint8 [N, C, H, W].
    """
    from torchvision.transforms.v2.functional import resized_crop

    height, width = images.shape[2:]
    result = torch.empty_like(images)
    for row, image in enumerate(images):
        box = crops.box(row, height, width)
        result[row] = resized_crop(
            image, box.top, box.left, box.height, box.width, [height, width], antialias=True
        )
    return result


def _between(low: float, high: float, number: float) -> float:
    # Uniform on the logarithm: 3:4 is as likely as 4:3.
    return low * (high / low) ** number


def _centre(height: int, width: int) -> Box:
    low, high = RATIO_RANGE
    w = min(width, round(height * high))
    h = min(height, round(width / low))
    return Box((height - h) // 2, (width - w) // 2, h, w)
