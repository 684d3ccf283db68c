"""The dotted keys of a recipe, and the nearest to a misspelling."""

from __future__ import annotations

import difflib
import types
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from qat_cli.recipes.schema import Recipe


@dataclass(frozen=True)
class KnownKey:
    """One key of the schema; in ``key``, ``N`` stands for an index into a list."""

    key: str
    default: str
    description: str


def known_keys() -> list[KnownKey]:
    """Every key of a recipe that holds a value or can be set as a whole, in order of the schema."""
    found: list[KnownKey] = []

    def visit(model: type[BaseModel], prefix: str) -> None:
        for name, field in model.model_fields.items():
            key = f"{prefix}{name}"
            part = model_of(field.annotation)
            if part is None or not field.is_required():
                found.append(KnownKey(key, default_text(field), field.description or ""))
            if part is not None:
                visit(part, f"{key}.N." if _is_list(field.annotation) else f"{key}.")

    visit(Recipe, "")
    return found


def siblings(path: tuple[str | int, ...]) -> list[str]:
    """Names of the keys that the schema knows beside the last entry of ``path``."""
    model: type[BaseModel] | None = Recipe
    for step in path[:-1]:
        if model is None:
            return []
        if isinstance(step, int):
            continue
        field = model.model_fields.get(step)
        model = model_of(field.annotation) if field is not None else None
    return list(model.model_fields) if model is not None else []


def nearest_key(path: tuple[str | int, ...]) -> str | None:
    """The dotted key that was probably meant by an unknown ``path``, or ``None``.

    A neighbour with a similar name comes first; then a key of that very name elsewhere
    (``epochs`` gives ``train.epochs``); then any key that looks alike as a whole.
    """
    name = str(path[-1])
    close = difflib.get_close_matches(name, siblings(path), n=1, cutoff=0.6)
    if close:
        return ".".join(map(str, (*path[:-1], close[0])))
    dotted = [known.key for known in known_keys()]
    same_name = [key for key in dotted if key.rpartition(".")[2] == name and "N" not in key]
    if same_name:
        return same_name[0]
    close = difflib.get_close_matches(".".join(map(str, path)), dotted, n=1, cutoff=0.6)
    return close[0] if close else None


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model inside ``Model``, ``Model | None`` or ``list[Model]``, if there is one."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    if get_origin(annotation) in (list, Union, types.UnionType):
        for argument in get_args(annotation):
            found = model_of(argument)
            if found is not None:
                return found
    return None


def section_of(part: type[BaseModel]) -> tuple[str, ...]:
    """The key of the section of a recipe that ``part`` describes; ``()`` for the whole."""

    def find(model: type[BaseModel], path: tuple[str, ...]) -> tuple[str, ...] | None:
        if model is part:
            return path
        inner = ((n, model_of(f.annotation)) for n, f in model.model_fields.items())
        found = (find(below, (*path, name)) for name, below in inner if below is not None)
        return next((entry for entry in found if entry is not None), None)

    return find(Recipe, ()) or ()


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list


def default_text(field: FieldInfo) -> str:
    """The default of a field as `qat recipes keys` shows it."""
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        return "see below"
    if isinstance(default, bool):
        return str(default).lower()
    return "null" if default is None else str(default)
