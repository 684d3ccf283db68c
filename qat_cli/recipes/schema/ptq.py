"""The ``calibrate`` section of a recipe: post-training quantization."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from qat_cli.recipes.schema.base import StrictModel


class CalibrateConfig(StrictModel):
    """Post-training calibration: images are shown once, without labels."""

    images: PositiveInt = Field(default=512, description="How many training images are shown.")
    batch_size: PositiveInt = Field(default=64, description="Images per step.")
