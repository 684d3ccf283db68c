"""The ``distill`` section of a recipe: learning from a float model."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveFloat

from qat_cli.recipes.schema.base import StrictModel


class DistillConfig(StrictModel):
    """Distillation: the model also learns to give the outputs of a float model, its teacher."""

    weight: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the teacher's outputs in the loss, the labels having the rest; "
        "0: no distillation, 1: no labels.",
    )
    temperature: PositiveFloat = Field(
        default=1.0,
        description="Outputs of both are divided by it before the softmax: above 1 the less "
        "probable classes count more.",
    )
    model: str | None = Field(
        default=None,
        description="The teacher, named as in model.name; null: the recipe's own model, float.",
    )
    kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="Keyword arguments for the factory of distill.model.",
    )
    weights: str | None = Field(
        default=None,
        description="File with the teacher's float weights; null: model.weights, for the recipe's "
        "own model.",
    )
