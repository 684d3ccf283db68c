"""Problems of a recipe as lines: where, which key, what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from qat_cli.errors import UserError
from qat_cli.recipes.document import KeyPath
from qat_cli.recipes.keys import known_keys, nearest_key, siblings
from qat_cli.recipes.overrides import Override


class InvalidRecipe(UserError):
    """A recipe was read but is not valid; ``problems`` has one line for each thing wrong."""

    def __init__(self, source: str, problems: list[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{source}: {count}\n{listed}")
        self.problems = problems


def problem_lines(
    invalid: ValidationError, place: Callable[[KeyPath], str], section: KeyPath = ()
) -> list[str]:
    """One line for each error of a validation, without repetition.

    Args:
        invalid: what pydantic found.
        place: where a key was set, for a reader; ``""`` for nowhere in particular.
        section: key of what was validated, where that is not a whole recipe.
    """
    found: dict[str, None] = {}  # an ordered set
    for error in invalid.errors():
        key = (*section, *(step for step in error["loc"] if isinstance(step, str | int)))
        parts = [place(key), ".".join(map(str, key)) or "recipe", _message(error, key)]
        found[": ".join(part for part in parts if part)] = None
    return list(found)


def set_by(key: KeyPath, changes: Iterable[Override]) -> str | None:
    """How the command line set ``key``, for a reader, or ``None`` where it did not."""
    for change in reversed(list(changes)):
        shared = min(len(change.path), len(key))
        if change.path[:shared] == key[:shared]:
            return f"command line, {change.text}" if change.text else ""
    return None


def _message(error: ErrorDetails, key: KeyPath) -> str:
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return _unknown_key(key)
    if kind == "missing":
        return "is missing"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"must be a mapping of keys, got {value!r}"
    if kind == "string_pattern_mismatch":  # a pattern says less than the description does
        return f"{value!r} is not one of: {_description(key)}"
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
