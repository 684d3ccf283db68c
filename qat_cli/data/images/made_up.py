"""Images made up by the program: patterns under noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from qat_cli.data.augment.crops import RandomCrops, cropped
from qat_cli.data.images.stores import gray_to_rgb
from qat_cli.data.seeds import generator_of

PATTERN_SIDE = 4  # a pattern is so many soft patches of colour wide and high
PATTERN_RANGE = (64, 192)  # grey levels; with the noise still inside 0 .. 255
NOISE = 64  # grey levels up and down


@dataclass(frozen=True)
class FakeImages:
    """Images made when they are gathered; the same ones each time.

    Image ``i`` depends on ``seed``, ``i`` and its pattern alone.

    Args:
        numbers: int64 [N]; which images these are.
        patterns: uint8 [K, C, H, W], under the noise; ``None`` for noise alone.
        kinds: int64 [N], the pattern of each.
        image_shape: (channels, height, width).
        seed: of the noise.
    """

    numbers: Tensor
    kinds: Tensor
    patterns: Tensor | None
    image_shape: tuple[int, int, int]
    seed: int
    in_memory: bool = field(default=False, init=False)
    is_larger_inside: bool = field(default=False, init=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return self.image_shape

    def __len__(self) -> int:
        return len(self.numbers)

    def gather(self, index: Tensor, crops: RandomCrops | None = None) -> Tensor:
        """See :meth:`ImageStore.gather`."""
        images = torch.stack([self._image(i) for i in index.tolist()])
        return images if crops is None else cropped(images, crops)

    def readable(self, index: Tensor) -> tuple[Tensor, dict[int, str]]:
        """See :meth:`ImageStore.readable`."""
        return self.gather(index), {}

    def unreadable(self, index: Tensor) -> dict[int, str]:
        """None are."""
        return {}

    def select(self, index: Tensor) -> FakeImages:
        """The images at ``index``; nothing is made."""
        return FakeImages(
            self.numbers[index], self.kinds[index], self.patterns, self.image_shape, self.seed
        )

    def in_rgb(self) -> FakeImages:
        """Not the same images, which had colours from the start, but of the same patterns."""
        patterns = None if self.patterns is None else gray_to_rgb(self.patterns)
        shape = (3, *self.image_shape[1:])
        return FakeImages(self.numbers, self.kinds, patterns, shape, self.seed)

    def _image(self, row: int) -> Tensor:
        generator = generator_of("fake image", self.seed, int(self.numbers[row]))
        if self.patterns is None:
            return torch.randint(0, 256, self.shape, generator=generator, dtype=torch.uint8)
        noise = torch.randint(-NOISE, NOISE, self.shape, generator=generator, dtype=torch.int16)
        return (self.patterns[self.kinds[row]] + noise).to(torch.uint8)


def random_patterns(count: int, shape: tuple[int, int, int], seed: int) -> Tensor:
    """``count`` patterns of soft patches, uint8 [count, C, H, W], the same ones for a seed."""
    generator = generator_of("fake patterns", seed)
    patches = torch.rand((count, shape[0], PATTERN_SIDE, PATTERN_SIDE), generator=generator)
    soft = torch.nn.functional.interpolate(
        patches, size=shape[1:], mode="bilinear", align_corners=False
    )
    low, high = PATTERN_RANGE
    return (low + soft * (high - low)).to(torch.uint8)
