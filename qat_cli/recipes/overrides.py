"""Changes to a recipe: a dotted path and its new value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from qat_cli.recipes.document import KeyPath, parse_value

# What a recipe says about its own model or data does not fit another one.
BELONGS_TO: Mapping[KeyPath, tuple[KeyPath, ...]] = {
    ("model", "name"): (("model", "kwargs"), ("model", "weights")),
    ("distill", "model"): (("distill", "kwargs"), ("distill", "weights")),
    ("data", "name"): (
        ("data", "image_size"),
        ("data", "center_crop"),
        ("data", "channels"),
        ("data", "mean"),
        ("data", "std"),
        ("data", "fake"),
        ("data", "augment"),
    ),
}


@dataclass(frozen=True)
class Override:
    """One change: ``path`` is set to ``value``; ``text`` is how the user wrote it, if one did."""

    path: KeyPath
    value: Any
    text: str

    @property
    def key(self) -> str:
        """The path with dots."""
        return ".".join(map(str, self.path))


def parse_override(text: str) -> Override:
    """Parse ``KEY=VALUE``: a dotted path, numbers being list indices, and a YAML value.

    Raises:
        ValueError: there is no ``=``, the key has an empty part, or the value is not YAML.
    """
    key, equals, value_text = text.partition("=")
    if not equals:
        raise ValueError("is not of the form KEY=VALUE, e.g. train.epochs=5")
    path = tuple(int(part) if part.isdecimal() else part for part in key.strip().split("."))
    if "" in path:
        raise ValueError("has an empty key; a key is a dotted path such as train.epochs")
    try:
        return Override(path, parse_value(value_text), text)
    except ValueError as error:
        raise ValueError(f"has a value that is not YAML ({error})") from None


def conflicts(overrides: Iterable[Override]) -> list[str]:
    """Pairs of overrides that set the same key to different values, each as a message."""
    seen: dict[KeyPath, Override] = {}
    found = []
    for override in overrides:
        earlier = seen.setdefault(override.path, override)
        if earlier.value != override.value:
            found.append(f"{override.key} is given twice: {earlier.text} and {override.text}")
    return found


def apply_override(tree: dict[str, Any], override: Override) -> None:
    """Set one key of the raw tree in place, making the mappings on the way.

    Raises:
        ValueError: the path leads through a value that has no keys, or past the end of a list.
    """
    *parents, last = override.path
    node: Any = tree
    done: list[str] = []
    for step in parents:
        child = _get(node, step, done)
        if child is None:
            child = {}
            _set(node, step, child, done)
        node = child
        done.append(str(step))
    _set(node, last, override.value, done)


def drop_what_no_longer_fits(tree: dict[str, Any], overrides: list[Override]) -> None:
    """After a change of model or data, remove from the raw tree what the file said about the old.

    Called before the overrides are applied. What an override sets is set afterwards all the same.
    """
    for override in overrides:
        if override.path in BELONGS_TO and override.value != _look_up(tree, override.path):
            for section, key in BELONGS_TO[override.path]:
                part = tree.get(str(section))
                if isinstance(part, dict):
                    part.pop(key, None)


def _look_up(tree: Any, path: KeyPath) -> Any:
    for step in path:
        tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def _get(node: Any, step: str | int, done: list[str]) -> Any:
    if isinstance(node, list):
        return node[_index(node, step, done)]
    if isinstance(node, dict):
        return node.get(str(step))
    raise _no_keys(node, step, done)


def _set(node: Any, step: str | int, value: Any, done: list[str]) -> None:
    if isinstance(node, list):
        node[_index(node, step, done)] = value
    elif isinstance(node, dict):
        node[str(step)] = value
    else:
        raise _no_keys(node, step, done)


def _index(node: list[Any], step: str | int, done: list[str]) -> int:
    if isinstance(step, int) and step < len(node):
        return step
    name = ".".join(done)
    if not node:
        raise ValueError(f"{name} is an empty list here; set it as a whole, e.g. {name}=[...]")
    raise ValueError(
        f"{name} is a list of {len(node)}: after it comes an index, 0 to {len(node) - 1}, "
        f"not {step!r}"
    )


def _no_keys(node: Any, step: str | int, done: list[str]) -> ValueError:
    return ValueError(f"{'.'.join(done)} is {node!r} and has no key {step!r}")
