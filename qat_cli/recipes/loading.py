"""Loading a recipe: file, then overrides, then validation, with all problems reported at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from qat_cli.errors import UserError
from qat_cli.recipes.document import Document, KeyPath
from qat_cli.recipes.inheritance import EXTENDS, read_inherited
from qat_cli.recipes.keys import known_keys, nearest_key, siblings
from qat_cli.recipes.location import list_recipes, recipe_path
from qat_cli.recipes.overrides import (
    Override,
    apply_override,
    conflicts,
    drop_what_no_longer_fits,
    option_overrides,
    parse_override,
)
from qat_cli.recipes.schema import Recipe


class InvalidRecipe(UserError):
    """A recipe was read but is not valid; ``problems`` has one line for each thing wrong."""

    def __init__(self, message: str, problems: list[str]) -> None:
        super().__init__(message)
        self.problems = problems


def load_recipe(
    name_or_path: str,
    overrides: Sequence[str] = (),
    options: Mapping[str, object] | None = None,
) -> Recipe:
    """Load a shipped recipe or a recipe file, change it, and validate the result.

    Args:
        name_or_path: name of a shipped recipe, or path of a file.
        overrides: ``KEY=VALUE`` texts, applied to the raw tree before validation.
        options: values of command options by name (see ``OPTION_KEYS``), ``None`` for not given.
    Returns:
        The validated recipe. Where the command line names another model or other data, what the
        file says about the old one (``model.kwargs``, ``data.image_size``, ...) is dropped.
    Raises:
        UserError: no such recipe, or one message that lists every problem of the file and of the
            overrides, each with its dotted key and its place.
    """
    document = read_inherited(recipe_path(name_or_path))
    problems: list[str] = []
    changes = option_overrides(options or {})
    for text in overrides:
        try:
            changes.append(parse_override(text))
        except ValueError as error:
            problems.append(f"{text!r} {error}{_recipe_hint(text)}")
    problems += [
        f"command line, {change.text}: extends stands in a recipe file, not on the command line"
        for change in changes
        if change.path[0] == EXTENDS
    ]
    changes = [change for change in changes if change.path[0] != EXTENDS]
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
        problems += _explain(invalid, document, changes)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise InvalidRecipe(f"recipe {name_or_path}: {count}\n{listed}", problems)
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
        listed = "\n".join(
            f"  {'.'.join(map(str, e['loc']))}: {_message(e)}" for e in invalid.errors()
        )
        raise UserError(f"{source}: its recipe is not valid\n{listed}") from None


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with every key written out; loading it gives an equal recipe."""
    text: str = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text


def _explain(invalid: ValidationError, document: Document, changes: list[Override]) -> list[str]:
    found: dict[str, None] = {}  # an ordered set
    for error in invalid.errors():
        key = tuple(step for step in error["loc"] if isinstance(step, str | int))
        place = _place(key, document, changes)
        found[f"{place}: {'.'.join(map(str, key)) or 'recipe'}: {_message(error)}"] = None
    return list(found)


def _place(key: KeyPath, document: Document, changes: list[Override]) -> str:
    for change in reversed(changes):
        shared = min(len(change.path), len(key))
        if change.path[:shared] == key[:shared]:
            return f"command line, {change.text}"
    return document.place(key)


def _message(error: ErrorDetails) -> str:
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return _unknown_key(error["loc"])
    if kind == "missing":
        return "is missing"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"must be a mapping of keys, got {value!r}"
    if kind == "string_pattern_mismatch":  # a pattern says less than the description does
        return f"{value!r} is not one of: {_description(error['loc'])}"
    text = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return text if kind == "value_error" else f"{text}, got {value!r}"


def _description(path: KeyPath) -> str:
    key = ".".join(map(str, path))
    return next((known.description for known in known_keys() if known.key == key), key)


def _unknown_key(path: KeyPath) -> str:
    near = nearest_key(path)
    if near is not None:
        return f"unknown key; did you mean {near!r}?"
    return f"unknown key; known here: {', '.join(siblings(path))}"


def _recipe_hint(text: str) -> str:
    return f"; did you mean --recipe {text}?" if text in list_recipes() else ""
