"""The explanation of one key of a recipe."""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from qat_cli.errors import UserError, did_you_mean
from qat_cli.recipes.inheritance import OF_THE_FILE
from qat_cli.recipes.keys import default_text, known_keys, model_of, nearest_key
from qat_cli.recipes.schema import Recipe


@dataclass(frozen=True)
class Explanation:
    """One key: ``meaning`` names the unit; ``bounds`` and ``choices`` are empty where free."""

    key: str
    meaning: str
    default: str
    set_with: list[str]
    choices: list[str] = field(default_factory=list)
    bounds: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)


def explain_key(key: str, flags: Sequence[str] = ()) -> Explanation:
    """Look up a dotted key; an index into a list is a number or ``N``.

    Args:
        key: dotted.
        flags: of the options that set it.
    Raises:
        UserError: there is no such key; the nearest one is named.
    """
    steps = key.split(".")
    model: type[BaseModel] = Recipe
    found: FieldInfo | None = None
    for number, step in enumerate(steps):
        if found is not None and get_origin(found.annotation) is list and _is_index(step):
            continue
        if step not in model.model_fields:
            return _free_key(key, steps[:number], model, found)
        found = model.model_fields[step]
        part = model_of(found.annotation)
        if part is None and number + 1 < len(steps):
            return _free_key(key, steps[: number + 1], None, found)
        model = part or model
    if found is None:  # "".split(".") has one empty step, which is no field
        raise _unknown(key)
    part = model_of(found.annotation)
    inner = part.model_fields if part else {}
    return Explanation(
        key,
        found.description or "",
        default_text(found),
        _set_with(key, flags),
        _choices(found.annotation),
        _bounds(found),
        {f"{key}.{name}": entry.description or "" for name, entry in inner.items()},
    )


def _free_key(
    key: str, parents: list[str], model: type[BaseModel] | None, found: FieldInfo | None
) -> Explanation:
    """A key that the schema leaves open: an attribute of a quantizer, an argument of a factory."""
    parent = ".".join(parents)
    one_below = key.count(".") == len(parents)
    if one_below and model is not None and model.model_config.get("extra") == "allow":
        meaning = f"Attribute of the quantizer that stands in {parent}.quantizer; replaces its own."
    elif one_below and found is not None and get_origin(found.annotation) is dict:
        meaning = f"One entry of {parent}. {found.description}"
    else:
        raise _unknown(key)
    return Explanation(key, meaning, "not set", _set_with(key, ()))


def _unknown(key: str) -> UserError:
    near = nearest_key(tuple(key.split(".")))
    hint = f"; did you mean {near!r}?" if near else did_you_mean(key, Recipe.model_fields)
    sections = ", ".join(name for name in dict.fromkeys(k.key.split(".")[0] for k in known_keys()))
    return UserError(f"no key {key!r}{hint}\nsections: {sections}; all keys: qat recipes keys")


def _set_with(key: str, flags: Sequence[str]) -> list[str]:
    if key in OF_THE_FILE:
        return ["recipe file"]
    return ["recipe file", f"{key}=VALUE", *flags]


def _is_index(step: str) -> bool:
    return step == "N" or step.isdecimal()


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    if annotation is bool:
        return ["true", "false"]
    if annotation is type(None):
        return ["null"]
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [_choices(argument) for argument in get_args(annotation)]
        return [choice for part in parts for choice in part] if all(parts) else []
    return []


def _bounds(found: FieldInfo) -> list[str]:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    limits = [*found.metadata]
    for argument in get_args(found.annotation):  # PositiveFloat | None keeps its limit inside
        limits += getattr(argument, "__metadata__", ())
    return [
        f"{sign} {getattr(limit, name)}"
        for limit in limits
        for name, sign in signs.items()
        if getattr(limit, name, None) is not None
    ]
