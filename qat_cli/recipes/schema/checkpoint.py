"""The ``checkpoint`` section of a recipe: checkpoints that a run keeps."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt, PositiveInt

from qat_cli.recipes.schema.base import StrictModel


class CheckpointConfig(StrictModel):
    """Checkpoints beside best.pt and last.pt, which every run keeps."""

    top_k: NonNegativeInt = Field(
        default=0,
        description="Keep epoch-NNN.pt of so many epochs, those with the best validation figures.",
    )
    every_steps: PositiveInt | None = Field(
        default=None,
        description="Write last.pt after so many optimizer steps of an epoch too, so that a crash "
        "loses no more than those; null: after each epoch.",
    )
