"""The root of a recipe.

A recipe says which model learns which data with which quantizers, and how.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, model_validator

from qat_cli.recipes.schema.base import StrictModel
from qat_cli.recipes.schema.checkpoint import CheckpointConfig
from qat_cli.recipes.schema.data import DataConfig
from qat_cli.recipes.schema.distill import DistillConfig
from qat_cli.recipes.schema.model import ModelConfig
from qat_cli.recipes.schema.optimizer import OptimizerConfig
from qat_cli.recipes.schema.ptq import CalibrateConfig
from qat_cli.recipes.schema.quant import QuantConfig
from qat_cli.recipes.schema.schedule import ScheduleConfig
from qat_cli.recipes.schema.train import TrainConfig


class Recipe(StrictModel):
    """One experiment: the root of a recipe file."""

    extends: str | None = Field(
        default=None,
        exclude=True,  # a loaded recipe is resolved: nothing is left to look up
        description="A shipped recipe, or a path relative to this file, that this file changes: "
        "mappings are merged, lists and mappings that name a quantizer replaced; only in a file.",
    )
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Short name, used for the run folder; letters, digits and . _ - only.",
    )
    aliases: list[str] = Field(
        default_factory=list,
        exclude=True,  # as extends
        description="Shorter names for --recipe, of recipes that ship; only in a file.",
    )
    description: str = Field(default="", description="One sentence for `qat recipes list`.")
    model: ModelConfig = Field(description="The float model.")
    data: DataConfig = Field(default_factory=DataConfig, description="The images.")
    quant: QuantConfig | None = Field(
        default=None, description="What is quantized, and how; null: a float model."
    )
    optimizer: OptimizerConfig = Field(
        default_factory=OptimizerConfig, description="The optimizer."
    )
    schedule: ScheduleConfig = Field(
        default_factory=ScheduleConfig, description="The learning rate over time."
    )
    train: TrainConfig = Field(default_factory=TrainConfig, description="The training loop.")
    distill: DistillConfig = Field(
        default_factory=DistillConfig, description="Learning from a float model beside the labels."
    )
    checkpoint: CheckpointConfig = Field(
        default_factory=CheckpointConfig, description="Checkpoints beside best.pt and last.pt."
    )
    calibrate: CalibrateConfig = Field(
        default_factory=CalibrateConfig, description="Post-training calibration."
    )

    @model_validator(mode="after")
    def _phases_fit(self) -> Recipe:
        problems = list(self._schedule_problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _schedule_problems(self) -> Iterator[str]:
        schedule, epochs = self.schedule, self.train.epochs
        if schedule.final_epoch >= epochs:
            yield (
                f"schedule.float_epochs and schedule.bit_widths end after {schedule.final_epoch} "
                f"epochs and train.epochs is {epochs}: no epoch is left that is quantized as quant "
                "says; raise train.epochs or end them earlier"
            )
        if self.quant is None:
            for key in ("float_epochs", "bit_widths", "freeze_scales_epoch"):
                if getattr(schedule, key) not in (0, [], None):
                    yield f"schedule.{key} is set but quant is null: there is nothing to quantize"
