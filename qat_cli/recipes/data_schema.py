"""The part of the recipe schema that says which images there are and how they reach the model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from qat_cli.recipes.quant_schema import StrictModel


class AugmentConfig(StrictModel):
    """Random changes of training images; evaluation images are never changed."""

    crop_padding: NonNegativeInt | None = Field(
        default=None,
        description="Pixels of padding before a random crop of the original size: shifts the image "
        "by up to so many pixels; 0: off; null: an eighth of the side, a sixteenth for digits and "
        "clothes.",
    )
    horizontal_flip: bool | None = Field(
        default=None,
        description="Mirror half of the images left to right; null: RGB images, but not digits.",
    )


class DataConfig(StrictModel):
    """The images, how they are split, and how they reach the model."""

    name: str = Field(
        default="digits",
        description="digits, mnist, fashion_mnist, cifar10, cifar100, or an image folder.",
    )
    image_size: PositiveInt | None = Field(
        default=None, description="Side of the square image in pixels; null: the data's own."
    )
    channels: Literal[1, 3] | None = Field(
        default=None, description="1 (grey) or 3 (RGB); null: the data's own."
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
        default=None, description="Folder for downloaded data; null: the cache folder."
    )
    augment: AugmentConfig = Field(
        default_factory=AugmentConfig, description="Random changes of training images."
    )
    workers: NonNegativeInt = Field(
        default=0, description="Threads that decode images; 0: one per core."
    )

    @model_validator(mode="after")
    def _mean_and_std_fit(self) -> DataConfig:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together: give both, or neither")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} entries, std has {len(self.std)}")
        if self.mean is not None and self.channels not in (None, len(self.mean)):
            raise ValueError(f"mean has {len(self.mean)} entries for {self.channels} channels")
        return self
