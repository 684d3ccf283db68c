"""Batches of normalised images, the same ones for an epoch every time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from qat_cli.data.augment.changes import augmented, is_costly
from qat_cli.data.augment.crops import RandomCrops
from qat_cli.data.augment.mixing import mixed
from qat_cli.data.dataset import Dataset, Part
from qat_cli.data.images.read_ahead import read_ahead, thread_count
from qat_cli.data.seeds import generator_of, seed_of
from qat_cli.data.share import WHOLE, Share
from qat_cli.errors import UserError
from qat_cli.recipes.schema import AugmentConfig, Recipe

#: Images, float32 [B, C, H, W], and labels: int64 [B], or float32 [B, K], a probability for each
#: of the K classes, where images were mixed (mixup, cutmix). ``F.cross_entropy`` takes both.
Batch = tuple[Tensor, Tensor]

#: Number of the epoch, number of the batch, positions of its images, int64 [B].
Place = tuple[int, int, Tensor]


@dataclass(frozen=True)
class Batches:
    """Batches of one part of a dataset.

    What epoch ``e`` holds depends on ``seed``, ``e`` and the number of the batch alone, so a run
    that stops in the middle of an epoch goes on with exactly the batches it would have had. Where
    several processes work together, the order of the images is that of one process with batches as
    large as those of all of them.

    Args:
        part: the images.
        mean, std: per channel, of images scaled to [0, 1].
        batch_size: images per batch and process; the last batch may be smaller. When shuffling, a
            last batch with less than two images for each process is left out: batch normalisation
            cannot use one.
        device: where batches are moved to.
        channels_last: memory format of the images.
        shuffle: a new order in every epoch.
        augment: random changes; ``None`` for none.
        seed: of order and augmentation.
        classes: how many there are; asked for where images are mixed.
        threads: decode and augment files, and augment costly changes, while the model works.
        prefetch: batches that are done and wait for the model, at most, where threads work.
        share: what of it this process goes through.
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
    classes: int = 0
    threads: int = 1
    prefetch: int = 2
    share: Share = WHOLE

    @property
    def images(self) -> int:
        """Images per epoch, those of the other processes among them."""
        rest = len(self.part) % self.step_images
        is_left_out = self.shuffle and rest < min(2 * self.share.count, len(self.part))
        return len(self.part) - (rest if is_left_out else 0)

    @property
    def step_images(self) -> int:
        """Images that all processes together go through in one batch of each."""
        return self.batch_size * self.share.count

    @property
    def rounds(self) -> int:
        """Batches of the process that has the most."""
        return -(-self.images // self.step_images)

    def __len__(self) -> int:
        return self.rounds if self.shuffle else len(self._own(torch.arange(self.images)))

    def count(self, batch: int) -> tuple[int, int]:
        """Images of training batch number ``batch``: of this process, and of all together."""
        images = min(self.step_images, self.images - batch * self.step_images)
        return self.share.size(images), images

    def epoch(self, number: int = 0, first_batch: int = 0) -> Iterator[Batch]:
        """The batches of epoch ``number``, from ``first_batch`` on.

        Yields:
            Images, float32 [B, C, H, W], normalised; labels, int64 [B], or float32 [B, K]:
            probabilities of classes, where ``augment`` mixes images.
        Raises:
            UserError: a file cannot be used.
        """
        indices = self._own(self._order(number)[: self.images])
        places = [(number, i, indices[i]) for i in range(first_batch, len(self))]
        mean, std = (
            torch.tensor(values, device=self.device)[:, None, None]
            for values in (self.mean, self.std)
        )
        for place, images in zip(places, self._pixels(places), strict=True):
            x = _moved(images, self.device).float().div_(255).sub_(mean).div_(std)
            x, labels = self._mixed(x, _moved(self.part.labels[place[2]], self.device), place)
            if self.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            yield x, labels

    def _own(self, order: Tensor) -> list[Tensor]:
        if self.shuffle:
            return self.share.of_each(order.split(self.step_images))
        return self.share.whole(order.split(self.batch_size))

    def _order(self, number: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(len(self.part))
        return torch.randperm(len(self.part), generator=self._generator(number, "order"))

    def _generator(self, *place: object) -> torch.Generator:
        return generator_of(self.seed, *place)

    def _read(self, place: Place) -> Tensor:
        number, position, index = place
        if self.augment is None:
            return self.part.images.gather(index)
        generator = self._generator(number, position, *self._process())
        crops = None
        if self.augment.random_resized_crop:
            crops = RandomCrops.drawn(len(index), self.augment.random_resized_crop, generator)
        images = self.part.images.gather(index, crops)
        return augmented(images, self.augment, self.mean, generator)

    def _process(self) -> tuple[object, ...]:
        # Processes augment differently; one alone as it always did.
        return () if self.share == WHOLE else ("process", self.share.index)

    def _pixels(self, places: list[Place]) -> Iterator[Tensor]:
        is_costly_now = self.augment is not None and is_costly(self.augment)
        if self.part.images.in_memory and not is_costly_now:
            return map(self._read, places)
        return read_ahead(self._read, places, self.threads, self.prefetch)

    def _mixed(self, images: Tensor, labels: Tensor, place: Place) -> Batch:
        if self.augment is None or not self.augment.mixes:
            return images, labels
        seed = seed_of(self.seed, *place[:2], "mix", *self._process())
        return mixed(images, labels, self.classes, self.augment, seed)


def _moved(batch: Tensor, device: torch.device) -> Tensor:
    # From pinned memory the copy queues behind the step before instead of waiting for its end.
    if device.type == "cuda":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)


def training_batches(
    dataset: Dataset, recipe: Recipe, device: torch.device, share: Share = WHOLE
) -> Batches:
    """Batches of the training part, shuffled and augmented as ``recipe`` says.

    Raises:
        UserError: the dataset has no training part, or less than two images for each process.
    """
    part = dataset.part("train")
    if share != WHOLE and len(part) < 2 * share.count:
        raise UserError(
            f"data {dataset.name!r} has {len(part)} training images, less than two for each of "
            f"{share.count} processes; use fewer processes."
        )
    return Batches(
        part=part,
        mean=dataset.mean,
        std=dataset.std,
        batch_size=recipe.train.batch_size,
        device=device,
        channels_last=recipe.train.channels_last,
        shuffle=True,
        augment=recipe.data.augment,
        seed=recipe.train.seed,
        classes=len(dataset.classes),
        threads=thread_count(recipe.data.workers),
        prefetch=recipe.data.prefetch,
        share=share,
    )


def evaluation_batches(
    dataset: Dataset, part: str, recipe: Recipe, device: torch.device, share: Share = WHOLE
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
        threads=thread_count(recipe.data.workers),
        prefetch=recipe.data.prefetch,
        share=share,
    )
