"""RandAugment: a few random changes of colour and geometry.

Source: Cubuk et al. 2019, arXiv:1909.13719.

Each change is torchvision's, with its range of strengths. What is our own is the draw: it takes its
numbers from a generator that is handed in, because images are changed by several threads at a time
and torch's global generator belongs to the model. Images that get the same change get it at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

HIGHEST = 30  # the magnitude at which a change is at its strongest


@dataclass(frozen=True)
class Operation:
    """One change.

    Args:
        apply: (images, strength, fill) to images, uint8 [N, C, H, W]; ``fill`` is the colour of
            what a movement brings in.
        strength: from (level in [0, 1], height, width).
        has_sign: the strength is negative for half of the images.
    """

    apply: Callable[[Tensor, float, list[float]], Tensor]
    strength: Callable[[float, int, int], float] = lambda level, height, width: level
    has_sign: bool = False


def rand_augmented(
    images: Tensor,
    magnitude: int,
    operations: int,
    fill: list[float],
    generator: torch.Generator,
) -> Tensor:
    """Each image changed ``operations`` times, each time by one of ``OPERATIONS`` at random.

    Args:
        images: uint8 [N, C, H, W] on the CPU, C 1 or 3.
        magnitude: 1 to ``HIGHEST``.
        operations: changes per image, one after another.
        fill: colour of what a movement brings in, a number in [0, 255] per channel.
        generator: source of randomness; the same state gives the same result.
    Returns:
        uint8 [N, C, H, W].
    """
    for _ in range(operations):
        kind = torch.randint(len(OPERATIONS), (len(images),), generator=generator)
        sign = torch.randint(2, (len(images),), generator=generator) * 2 - 1
        images = _changed(images, kind, sign, magnitude / HIGHEST, fill)
    return images


def _changed(images: Tensor, kind: Tensor, sign: Tensor, level: float, fill: list[float]) -> Tensor:
    result = images.clone()
    height, width = images.shape[2:]
    for number, operation in enumerate(OPERATIONS.values()):
        strength = operation.strength(level, height, width)
        groups = [(kind == number, strength)]
        if operation.has_sign:
            groups = [((kind == number) & (sign == s), s * strength) for s in (1, -1)]
        for chosen, signed_strength in groups:
            rows = chosen.nonzero().flatten()
            if len(rows):
                result[rows] = operation.apply(images[rows], signed_strength, fill)
    return result


def _moved(
    images: Tensor,
    fill: list[float],
    translate: tuple[int, int] = (0, 0),
    shear: tuple[float, float] = (0.0, 0.0),
    center: list[float] | None = None,
) -> Tensor:
    return F.affine(
        images,
        angle=0.0,
        translate=list(translate),
        scale=1.0,
        shear=[math.degrees(math.atan(slope)) for slope in shear],
        fill=fill,
        center=center,
    )


def _up_to(strongest: float) -> Callable[[float, int, int], float]:
    return lambda level, height, width: level * strongest


CORNER = [0.0, 0.0]  # torchvision shears about the corner
FARTHEST = 150 / 331  # of the side: 150 pixels in the images of AutoAugment, arXiv:1805.09501

OPERATIONS: Mapping[str, Operation] = {
    "identity": Operation(lambda x, s, fill: x),
    "shear_x": Operation(
        lambda x, s, fill: _moved(x, fill, shear=(s, 0.0), center=CORNER), _up_to(0.3), True
    ),
    "shear_y": Operation(
        lambda x, s, fill: _moved(x, fill, shear=(0.0, s), center=CORNER), _up_to(0.3), True
    ),
    "translate_x": Operation(
        lambda x, s, fill: _moved(x, fill, translate=(int(s), 0)),
        lambda level, height, width: level * FARTHEST * width,
        True,
    ),
    "translate_y": Operation(
        lambda x, s, fill: _moved(x, fill, translate=(0, int(s))),
        lambda level, height, width: level * FARTHEST * height,
        True,
    ),
    "rotate": Operation(lambda x, s, fill: F.rotate(x, s, fill=fill), _up_to(30.0), True),
    "brightness": Operation(lambda x, s, fill: F.adjust_brightness(x, 1 + s), _up_to(0.9), True),
    "color": Operation(lambda x, s, fill: F.adjust_saturation(x, 1 + s), _up_to(0.9), True),
    "contrast": Operation(lambda x, s, fill: F.adjust_contrast(x, 1 + s), _up_to(0.9), True),
    "sharpness": Operation(lambda x, s, fill: F.adjust_sharpness(x, 1 + s), _up_to(0.9), True),
    "posterize": Operation(
        lambda x, s, fill: F.posterize(x, int(s)),
        lambda level, height, width: 8 - round(4 * level),  # bits that are kept
    ),
    "solarize": Operation(
        lambda x, s, fill: F.solarize(x, s), lambda level, height, width: 255 * (1 - level)
    ),
    "auto_contrast": Operation(lambda x, s, fill: F.autocontrast(x)),
    "equalize": Operation(lambda x, s, fill: F.equalize(x)),
}
