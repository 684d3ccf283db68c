"""The ``data`` section of a recipe: images and their changes."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from qat_cli.recipes.schema.base import StrictModel


class AugmentConfig(StrictModel):
    """Random changes of training images; evaluation images are never changed."""

    crop_padding: NonNegativeInt | None = Field(
        default=None,
        description="Pixels of padding before a random crop of the original size: shifts the image "
        "by up to so many pixels; 0: off; null: an eighth of the side, a sixteenth for digits and "
        "clothes, 0 with random_resized_crop.",
    )
    random_resized_crop: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Smallest part of an image's area that a random crop, scaled back to the full "
        "size, keeps; its sides are as 3:4 to 4:3; 0: off; null: 0.08 for imagenet, else off.",
    )
    horizontal_flip: bool | None = Field(
        default=None,
        description="Mirror half of the images left to right; null: RGB images, but not digits.",
    )
    rand_augment: NonNegativeInt = Field(
        default=0,
        le=30,
        description="Magnitude of RandAugment, 1 to 30, mostly 9: random changes of colour and "
        "geometry; 0: off.",
    )
    rand_augment_operations: PositiveInt = Field(
        default=2, description="Changes that RandAugment makes to each image, one after another."
    )
    random_erasing: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the images in which a random rectangle, 2 to 33 % of the area, gets "
        "the mean colour.",
    )
    mixup: NonNegativeFloat = Field(
        default=0.0,
        description="Blend each image and its label with another of the batch, by a share from "
        "Beta(mixup, mixup); mostly 0.2; 0: off. With cutmix too, each batch gets one of them.",
    )
    cutmix: NonNegativeFloat = Field(
        default=0.0,
        description="Paste a rectangle of another image of the batch into each, labels blended by "
        "area, the area from Beta(cutmix, cutmix); mostly 1.0; 0: off.",
    )

    @property
    def mixes(self) -> bool:
        """Images of a batch are mixed, so that labels become probabilities of classes."""
        return self.mixup > 0 or self.cutmix > 0

    @model_validator(mode="after")
    def _one_kind_of_crop(self) -> AugmentConfig:
        if self.crop_padding and self.random_resized_crop:
            raise ValueError("crop_padding and random_resized_crop are two kinds of crop: give one")
        return self


class FakeConfig(StrictModel):
    """Images made up by the program, for trials and speed tests without any data."""

    images: int = Field(default=2000, ge=10, description="How many images, all parts together.")
    classes: int = Field(default=10, ge=2, description="How many classes.")
    learnable: bool = Field(
        default=True,
        description="True: every class has a pattern of its own under the noise; false: noise "
        "alone, labels mean nothing.",
    )
    seed: NonNegativeInt = Field(default=0, description="Seed of patterns and noise.")


class DataConfig(StrictModel):
    """The images, how they are split, and how they reach the model."""

    name: str = Field(
        default="digits",
        description="A dataset, such as digits or cifar10 (qat datasets), or an image folder.",
    )
    image_size: PositiveInt | None = Field(
        default=None, description="Side of the square image in pixels; null: the data's own."
    )
    center_crop: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Part of the shorter side that is kept where images are not cropped at random: "
        "0.875 scales to 256 and cuts 224 out of the centre; null: 0.875 for imagenet, else 1.",
    )
    channels: Literal[1, 3] | None = Field(
        default=None, description="1 (grey) or 3 (RGB); null: the data's own."
    )
    normalize: Literal["given", "measured"] = Field(
        default="given",
        description="given: mean and std below, or the usual ones of the data where they are null; "
        "measured: those of the training images, written into the resolved recipe.",
    )
    mean: list[float] | None = Field(
        default=None,
        description="Mean per channel of images scaled to [0, 1], subtracted; null: the data's.",
    )
    std: list[PositiveFloat] | None = Field(
        default=None,
        description="Standard deviation per channel of images in [0, 1]; null: the data's.",
    )
    val_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Part of the training images held back to choose the best checkpoint.",
    )
    split_seed: NonNegativeInt = Field(default=0, description="Seed of that split.")
    root: str | None = Field(
        default=None,
        description="Folder for downloaded data and for imagenet/; null: QAT_DATA_DIR, else the "
        "cache folder.",
    )
    fake: FakeConfig | None = Field(
        default=None, description="The images of data.name=fake; null: the defaults."
    )
    augment: AugmentConfig = Field(
        default_factory=AugmentConfig, description="Random changes of training images."
    )
    workers: NonNegativeInt = Field(
        default=0,
        description="Threads that decode images; 0: one per core, at most 16.",
    )
    prefetch: PositiveInt = Field(
        default=2,
        description="Finished batches that wait for the model where images are decoded while it "
        "works; each thread makes one more.",
    )
    memory_limit: NonNegativeFloat | None = Field(
        default=None,
        description="GiB of memory that decoded images may take; more are decoded batch by batch "
        "in every epoch; 0: always; null: 8, or a third of the machine's memory if that is less.",
    )
    skip_bad_files: bool = Field(
        default=False,
        description="Leave out files that are not images, or are damaged, with a warning, instead "
        "of stopping; where images are not kept in memory all files are looked through first.",
    )

    @model_validator(mode="after")
    def _mean_and_std_fit(self) -> DataConfig:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together: give both, or neither")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} entries, std has {len(self.std)}")
        if self.mean is not None and self.channels not in (None, len(self.mean)):
            raise ValueError(f"mean has {len(self.mean)} entries for {self.channels} channels")
        if self.mean is not None and self.normalize == "measured":
            raise ValueError("normalize is 'measured', but mean and std are given: leave one out")
        return self

    @model_validator(mode="after")
    def _fake_is_for_fake(self) -> DataConfig:
        if self.fake is not None and self.name != "fake":
            raise ValueError(f"the key fake is for name 'fake', not for {self.name!r}")
        return self
