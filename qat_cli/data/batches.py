"""Batches of normalised images, the same ones whenever an epoch is asked for again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from qat_cli.data.augment import augmented
from qat_cli.data.dataset import Dataset, Part
from qat_cli.data.images import FileImages
from qat_cli.recipes.schema import AugmentConfig, Recipe

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Batches:
    """Batches of one part of a dataset.

    What epoch ``e`` holds depends on ``seed``, ``e`` and the number of the batch alone, so a run
    that stops in the middle of an epoch goes on with exactly the batches it would have had.

    Args:
        part: the images.
        mean, std: per channel, of images scaled to [0, 1].
        batch_size: images per batch; the last batch may be smaller. When shuffling, a last batch
            of one image is left out: batch normalisation cannot use it.
        device: where batches are moved to.
        channels_last: memory format of the images.
        shuffle: a new order in every epoch.
        augment: random changes; ``None`` for none.
        seed: of order and augmentation.
    """

    part: Part
    mean: list[float]
    std: list[float]
    batch_size: int
    device: torch.device = torch.device("cpu")
    channels_last: bool = False
    shuffle: bool = False
    augment: AugmentConfig | None = None
    seed: int = 0

    @property
    def images(self) -> int:
        """Images per epoch."""
        return len(self.part) - (1 if self._drops_last else 0)

    @property
    def _drops_last(self) -> bool:
        return self.shuffle and len(self.part) > 1 and len(self.part) % self.batch_size == 1

    def __len__(self) -> int:
        return -(-self.images // self.batch_size)

    def epoch(self, number: int = 0, first_batch: int = 0) -> Iterator[Batch]:
        """The batches of epoch ``number``, from ``first_batch`` on.

        Yields:
            Images, float32 [B, C, H, W], normalised; labels, int64 [B].
        """
        indices = self._order(number)[: self.images].split(self.batch_size)
        pixels = self._pixels([(number, i, indices[i]) for i in range(first_batch, len(self))])
        mean, std = (
            torch.tensor(values, device=self.device)[:, None, None]
            for values in (self.mean, self.std)
        )
        for index, images in zip(indices[first_batch:], pixels, strict=True):
            x = _moved(images, self.device).float().div_(255).sub_(mean).div_(std)
            if self.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            yield x, _moved(self.part.labels[index], self.device)

    def _order(self, number: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(len(self.part))
        return torch.randperm(len(self.part), generator=self._generator(number, "order"))

    def _generator(self, *place: object) -> torch.Generator:
        digest = hashlib.blake2b(repr((self.seed, *place)).encode(), digest_size=4).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest, "big"))

    def _read(self, place: tuple[int, int, Tensor]) -> Tensor:
        number, position, index = place
        images = self.part.images.gather(index)
        if self.augment is None:
            return images
        return augmented(images, self.augment, self._generator(number, position))

    def _pixels(self, places: list[tuple[int, int, Tensor]]) -> Iterator[Tensor]:
        if isinstance(self.part.images, FileImages):
            return _one_ahead(self._read, places)
        return map(self._read, places)


def _moved(batch: Tensor, device: torch.device) -> Tensor:
    # From pinned memory the copy queues behind the step before instead of waiting for its end.
    if device.type == "cuda":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)


def _one_ahead(
    read: Callable[[tuple[int, int, Tensor]], Tensor], places: list[tuple[int, int, Tensor]]
) -> Iterator[Tensor]:
    # Files are decoded while the model works on the batch before.
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(read, place) for place in places[:1]]
        for following in [*places[1:], None]:
            if not coming:
                return
            ready = coming.pop().result()
            if following is not None:
                coming.append(pool.submit(read, following))
            yield ready


def training_batches(dataset: Dataset, recipe: Recipe, device: torch.device) -> Batches:
    """Batches of the training part, shuffled and augmented as ``recipe`` says.

    Raises:
        UserError: the dataset has no training part.
    """
    return Batches(
        part=dataset.part("train"),
        mean=dataset.mean,
        std=dataset.std,
        batch_size=recipe.train.batch_size,
        device=device,
        channels_last=recipe.train.channels_last,
        shuffle=True,
        augment=recipe.data.augment,
        seed=recipe.train.seed,
    )


def evaluation_batches(
    dataset: Dataset, part: str, recipe: Recipe, device: torch.device
) -> Batches:
    """Batches of one part, in order and unchanged, of ``recipe``'s evaluation size.

    Raises:
        UserError: the dataset has no such part.
    """
    return Batches(
        part=dataset.part(part),
        mean=dataset.mean,
        std=dataset.std,
        batch_size=recipe.train.eval_batch_size,
        device=device,
        channels_last=recipe.train.channels_last,
    )
