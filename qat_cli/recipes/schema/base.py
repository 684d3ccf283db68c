"""The base of every section of a recipe."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Base of every part of a recipe: a key that the schema does not know is refused."""

    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)
