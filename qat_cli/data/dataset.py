"""Labelled images in up to three parts: train, val, test."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qat_cli.data.images.stores import ImageStore
from qat_cli.data.split import stratified_split
from qat_cli.errors import UserError

# Share of one-folder data (and of digits) that is the test part; the seed is fixed, so that
# figures of runs with different recipes compare.
TEST_FRACTION = 0.2
TEST_SEED = 0


@dataclass(frozen=True)
class Part:
    """Images with their labels; ``labels`` is int64 [N], each in ``0 .. classes-1``."""

    images: ImageStore
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Tensor) -> Part:
        """The part made of the images at ``index`` (int64 [N])."""
        return Part(self.images.select(index), self.labels[index])

    def sample(self, count: int, seed: int) -> Part:
        """``count`` images drawn without replacement; all of them where there are fewer."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return self.select(order[:count])

    def split(self, fraction: float, seed: int) -> tuple[Part, Part]:
        """(kept, held back), every class with its share; see :func:`stratified_split`."""
        kept, held = stratified_split(self.labels, fraction, seed)
        return self.select(kept), self.select(held)


@dataclass(frozen=True)
class Dataset:
    """What the recipe's ``data`` section describes.

    Args:
        name: as the user wrote it; an absolute path for a folder.
        classes: names, in the order of the labels.
        mean, std: per channel, of images scaled to [0, 1].
        parts: some of ``train``, ``val``, ``test``; ``test`` is the part that is evaluated.
        center_crop: part of the shorter side that was kept of images that were resized.
    """

    name: str
    classes: list[str]
    mean: list[float]
    std: list[float]
    parts: Mapping[str, Part]
    center_crop: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return next(iter(self.parts.values())).images.shape

    def part(self, name: str) -> Part:
        """One part.

        Raises:
            UserError: the data has no such part, or too few images to be given one.
        """
        if name not in self.parts:
            raise UserError(
                f"data {self.name!r} has no {name} part, only {', '.join(self.parts)}; "
                f"give a folder with {name}/<class>/<image>."
            )
        if len(self.parts[name]) == 0:
            raise UserError(
                f"data {self.name!r} has too few images to split off a {name} part; give at least "
                f"3 images of a class, or separate folders train/, val/ and test/."
            )
        return self.parts[name]

    def with_part(self, name: str, part: Part) -> Dataset:
        """A copy in which ``part`` stands under ``name``."""
        return dataclasses.replace(self, parts={**self.parts, name: part})

    def labelled_as(self, classes: list[str]) -> Dataset:
        """The same images with labels that index ``classes``, matched by name.

        Raises:
            UserError: this data has a class that ``classes`` lacks.
        """
        unknown = [name for name in self.classes if name not in classes]
        if unknown:
            raise UserError(
                f"data {self.name!r} has classes that the model was not trained on: "
                f"{', '.join(unknown[:5])}{' ...' if len(unknown) > 5 else ''}; "
                f"it knows {', '.join(classes[:10])}{' ...' if len(classes) > 10 else ''}."
            )
        new_label = torch.tensor([classes.index(name) for name in self.classes])
        parts = {key: Part(p.images, new_label[p.labels]) for key, p in self.parts.items()}
        return dataclasses.replace(self, classes=classes, parts=parts)

    def in_rgb(self) -> Dataset:
        """The same images with their grey channel repeated three times; RGB data as it is."""
        if self.shape[0] == 3:
            return self
        parts = {key: Part(p.images.in_rgb(), p.labels) for key, p in self.parts.items()}
        return dataclasses.replace(self, mean=self.mean * 3, std=self.std * 3, parts=parts)
