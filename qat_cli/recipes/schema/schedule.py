"""The ``schedule`` section of a recipe: learning rate and phases."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, model_validator

from qat_cli.recipes.schema.base import StrictModel


class BitWidthConfig(StrictModel):
    """One step of ``schedule.bit_widths``."""

    epoch: NonNegativeInt = Field(
        description="Finished epochs when these widths begin; 0: from the start."
    )
    weight: int | None = Field(
        default=None,
        ge=1,
        le=32,
        description="Least bits of weights from then on; null: as quant says.",
    )
    activation: int | None = Field(
        default=None,
        ge=1,
        le=32,
        description="Least bits of activations, inputs, outputs and operands of additions; null: "
        "as quant says.",
    )


class ScheduleConfig(StrictModel):
    """The learning rate, changed before every optimizer step, and the phases, in whole epochs."""

    name: Literal["cosine", "step", "constant", "onecycle"] = Field(
        default="cosine",
        description="Shape of the decay after the warm-up; onecycle: a cosine up, a cosine down.",
    )
    warmup_epochs: NonNegativeFloat = Field(
        default=0.0,
        description="Epochs in which the rate climbs to lr: linearly from 0, with onecycle along a "
        "cosine from start_factor * lr.",
    )
    start_factor: float = Field(
        default=0.04,
        gt=0,
        le=1,
        description="First learning rate as a share of lr (onecycle only).",
    )
    min_lr: NonNegativeFloat = Field(
        default=0.0, description="Learning rate at the end (cosine and onecycle only)."
    )
    milestones: list[NonNegativeFloat] = Field(
        default_factory=list, description="Epochs at which the rate is lowered (step only)."
    )
    gamma: float = Field(
        default=0.1, gt=0, le=1, description="Factor at each milestone (step only)."
    )
    float_epochs: NonNegativeInt = Field(
        default=0,
        description="Epochs trained in float before the quantizers are switched on, which are then "
        "made from the weights as they are.",
    )
    bit_widths: list[BitWidthConfig] = Field(
        default_factory=list,
        description="Wider grids on the way to those of quant, e.g. [{epoch: 0, weight: 8, "
        "activation: 8}, {epoch: 2, weight: 4, activation: 4}, {epoch: 4}]; no quantizer has fewer "
        "bits than quant says.",
    )
    freeze_batch_norm_epoch: NonNegativeInt | None = Field(
        default=None,
        description="Finished epochs from which on the running statistics of batch norms stay as "
        "they are and are used in training; null: never.",
    )
    freeze_scales_epoch: NonNegativeInt | None = Field(
        default=None,
        description="Finished epochs from which on learned scales and zero points, and statistics "
        "of activations, stay as they are; null: never.",
    )

    @property
    def final_epoch(self) -> int:
        """Finished epochs from which on everything is quantized as ``quant`` says."""
        last = self.bit_widths[-1].epoch if self.bit_widths else 0
        return max(self.float_epochs, last)

    @model_validator(mode="after")
    def _fits_together(self) -> ScheduleConfig:
        problems = [*self._shape_problems(), *self._bit_width_problems(), *self._phase_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _shape_problems(self) -> Iterator[str]:
        if self.name == "onecycle" and self.warmup_epochs == 0:
            yield (
                "onecycle climbs for warmup_epochs, which is 0; set it, usual is 0.3 of "
                "train.epochs"
            )

    def _bit_width_problems(self) -> Iterator[str]:
        steps = self.bit_widths
        if not steps:
            return
        if steps[0].epoch != 0:
            yield f"bit_widths begins at epoch {steps[0].epoch}; the first step must be at 0"
        for before, after in pairwise(steps):
            if after.epoch <= max(before.epoch, self.float_epochs):
                yield (
                    f"bit_widths has a step at epoch {after.epoch}, which must be above that of "
                    f"the step before, {before.epoch}, and float_epochs, {self.float_epochs}"
                )
            for role in ("weight", "activation"):
                wide, narrow = getattr(before, role), getattr(after, role)
                if narrow is not None and (wide is None or narrow > wide):
                    yield (
                        f"bit_widths gives {role} {narrow} bits at epoch {after.epoch} after "
                        f"{'those of quant' if wide is None else wide}; widths go down"
                    )

    def _phase_problems(self) -> Iterator[str]:
        frozen = self.freeze_scales_epoch
        if frozen is not None and frozen <= self.final_epoch:
            yield (
                f"freeze_scales_epoch is {frozen}, but scales are made at epoch {self.final_epoch} "
                "(the start, float_epochs, bit_widths); freeze them later"
            )
