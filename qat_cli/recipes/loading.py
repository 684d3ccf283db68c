"""Valid recipes: from a file, from a tree, from another recipe.

All problems are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from qat_cli.errors import UserError
from qat_cli.recipes.inheritance import OF_THE_FILE, read_inherited
from qat_cli.recipes.keys import section_of
from qat_cli.recipes.location import list_recipes, recipe_path
from qat_cli.recipes.overrides import (
    Override,
    apply_override,
    conflicts,
    drop_what_no_longer_fits,
    parse_override,
)
from qat_cli.recipes.problems import InvalidRecipe, problem_lines, set_by
from qat_cli.recipes.schema import Recipe, StrictModel

Part = TypeVar("Part", bound=StrictModel)


def load_recipe(
    name_or_path: str,
    overrides: Sequence[str] = (),
    options: Iterable[Override] = (),
) -> Recipe:
    """Load a shipped recipe or a recipe file, change it, and validate the result.

    Args:
        name_or_path: name of a shipped recipe, or path of a file.
        overrides: ``KEY=VALUE`` texts, applied to the raw tree before validation.
        options: what options of a command set (see :mod:`qat_cli.app.options`).
    Returns:
        The validated recipe. Where the command line names another model or other data, what the
        file says about the old one (``model.kwargs``, ``data.image_size``, ...) is dropped.
    Raises:
        UserError: no such recipe, or one message that lists every problem of the file and of the
            overrides, each with its dotted key and its place.
    """
    document = read_inherited(recipe_path(name_or_path))
    problems: list[str] = []
    changes = list(options)
    for text in overrides:
        try:
            changes.append(parse_override(text))
        except ValueError as error:
            problems.append(f"{text!r} {error}{_recipe_hint(text)}")
    problems += [
        f"command line, {change.text}: {change.path[0]} stands in a recipe file, "
        "not on the command line"
        for change in changes
        if change.path[0] in OF_THE_FILE
    ]
    changes = [change for change in changes if change.path[0] not in OF_THE_FILE]
    problems += conflicts(changes)
    drop_what_no_longer_fits(document.tree, changes)
    for change in changes:
        try:
            apply_override(document.tree, change)
        except ValueError as error:
            problems.append(f"command line, {change.text}: {error}")
    try:
        recipe = Recipe.model_validate(document.tree)
    except ValidationError as invalid:
        problems += problem_lines(invalid, lambda key: set_by(key, changes) or document.place(key))
    if problems:
        raise InvalidRecipe(f"recipe {name_or_path}", problems)
    return recipe


def recipe_from_tree(tree: Mapping[str, Any], source: str) -> Recipe:
    """Validate a recipe that is already a tree, such as the one inside a checkpoint.

    Args:
        tree: nested plain values, as ``Recipe.model_dump()`` gives them.
        source: what to call its origin in the error, e.g. the path of the checkpoint.
    Raises:
        UserError: lists every problem with its dotted key.
    """
    try:
        return Recipe.model_validate(tree)
    except ValidationError as invalid:
        listed = "\n".join(f"  {line}" for line in problem_lines(invalid, lambda key: ""))
        raise UserError(f"{source}: its recipe is not valid\n{listed}") from None


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


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with every key written out; loading it gives an equal recipe."""
    text: str = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text


def _recipe_hint(text: str) -> str:
    return f"; did you mean --recipe {text}?" if text in list_recipes() else ""
