"""A changed recipe: a copy with other values at some keys, validated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from pydantic import ValidationError

from qat_cli.recipes.keys import section_of
from qat_cli.recipes.overrides import Override, apply_override
from qat_cli.recipes.problems import InvalidRecipe, problem_lines, set_by
from qat_cli.recipes.schema import Recipe, StrictModel

Part = TypeVar("Part", bound=StrictModel)


def changed(part: Part, changes: Mapping[str, object] | Iterable[Override]) -> Part:
    """A copy of a recipe or of one of its sections with other values, validated as a whole.

    Data of another name take no ``data.fake`` along, which only the made-up images have.

    Args:
        part: valid; stays as it is.
        changes: dotted keys, counted from ``part``, and their values; or what options set.
    Raises:
        InvalidRecipe: lists every problem with its key and the option that set it.
    """
    if isinstance(changes, Mapping):
        changes = [Override(tuple(key.split(".")), value, "") for key, value in changes.items()]
    overrides = list(changes)
    tree = part.model_dump()
    for override in overrides:
        apply_override(tree, override)
        if override.path == ("data", "name") and override.value != "fake":
            tree["data"]["fake"] = None
    try:
        return type(part).model_validate(tree)
    except ValidationError as invalid:
        section = section_of(type(part))
        problems = problem_lines(invalid, lambda key: set_by(key, overrides) or "", section)
        source = f"recipe {part.name}" if isinstance(part, Recipe) else ".".join(section)
        raise InvalidRecipe(source, problems) from None
