"""JSON Schema of recipe files, for editors."""

from __future__ import annotations

from typing import Any

from qat_cli.recipes.schema import Recipe

_ITEMS_OF_LISTS = ("RuleConfig",)  # a list is replaced as a whole, so its items are complete


def recipe_json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a recipe file, the text under each field as its description.

    Keys are not ``required`` in it, as a file with ``extends`` may leave any of them to its base.
    """
    schema = Recipe.model_json_schema()
    for name, part in {"": schema, **schema["$defs"]}.items():
        if name not in _ITEMS_OF_LISTS:
            part.pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
