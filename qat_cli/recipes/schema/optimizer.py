"""The ``optimizer`` section of a recipe: method, settings by kind of parameter."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from qat_cli.recipes.schema.base import StrictModel


class OptimizerConfig(StrictModel):
    """The optimizer; what quantizers learn, and latent weights, can have settings of their own."""

    name: Literal["sgd", "adam", "adamw"] = Field(default="sgd", description="The method.")
    lr: PositiveFloat = Field(default=0.1, description="Peak learning rate.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum (sgd only).")
    nesterov: bool = Field(default=False, description="Nesterov momentum (sgd only).")
    weight_decay: NonNegativeFloat = Field(default=0.0, description="Decay of weights.")
    latent_weight_decay: NonNegativeFloat | None = Field(
        default=None,
        description="Decay of the latent weights of layers declared binary, of which only the sign "
        "is used; null: weight_decay.",
    )
    scale_lr: PositiveFloat | None = Field(
        default=None, description="Peak learning rate of learned scales; null: lr."
    )
    scale_weight_decay: NonNegativeFloat = Field(default=0.0, description="Decay of scales.")
    bit_width_lr: PositiveFloat | None = Field(
        default=None,
        description="Peak learning rate of learned bit widths (bit_width_impl_type: parameter), in "
        "bits per unit of gradient; null: lr.",
    )
    bit_width_weight_decay: NonNegativeFloat = Field(
        default=0.0,
        description="Decay of learned bit widths, towards their min_bit_width; "
        "train.bit_width_penalty pulls evenly instead.",
    )
    clip_grad_norm: PositiveFloat | None = Field(
        default=None, description="Largest norm of the whole gradient; null: no limit."
    )
