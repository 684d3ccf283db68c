"""The ``model`` section of a recipe."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from qat_cli.recipes.schema.base import StrictModel


class ModelConfig(StrictModel):
    """The float model that is trained or converted."""

    name: str = Field(
        description="A built-in model, a torchvision classifier, timm:NAME, "
        "path/to/file.py:factory or package.module:factory."
    )
    kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments for the factory of the model."
    )
    weights: str | None = Field(
        default=None, description="File with float weights to start from; null: random."
    )
