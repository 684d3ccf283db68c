"""Strict YAML: plain values, and the line of each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from qat_cli.errors import UserError

KeyPath = tuple[str | int, ...]

_DEEPEST = 50  # a recipe needs 6; an alias that contains itself has no end


@dataclass(frozen=True)
class Document:
    """A parsed recipe file.

    Args:
        path: where it was read from.
        tree: nested dicts, lists and scalars.
        lines: path of each key to its line, counted from 1.
        files: path of each key to its file, where that is not ``path`` (see ``extends``).
    """

    path: Path
    tree: dict[str, Any]
    lines: dict[KeyPath, int]
    files: dict[KeyPath, Path] = field(default_factory=dict)

    def place(self, key: KeyPath) -> str:
        """``file:line`` of a key, or of the nearest enclosing key that the file has."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.lines:
                file = self.files.get(key[:length], self.path)
                return f"{file}:{self.lines[key[:length]]}"
        return str(self.path)


class _Loader(yaml.SafeLoader):
    """Safe YAML, with ``1e-3`` read as a number as YAML 1.2 does (1.1 reads a string)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def parse_value(text: str) -> Any:
    """Parse the value part of ``KEY=VALUE``; empty text is null.

    Raises:
        ValueError: the text is not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 -- a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(_where_and_what(error)) from None


def read_document(path: Path) -> Document:
    """Read a YAML file whose root is a mapping.

    Raises:
        UserError: the file cannot be read, is not YAML, is not a mapping, or has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read recipe {path}: {_reason(error)}") from None
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if not isinstance(root, yaml.MappingNode):
                raise UserError(f"{path}: a recipe is a mapping of keys, e.g. 'name: my_recipe'")
            lines = _lines(root)
            tree = loader.construct_document(root)
        finally:
            loader.dispose()
    except (yaml.YAMLError, _Refused, ValueError) as error:  # ValueError: an impossible date
        raise UserError(f"{path}: {_where_and_what(error)}") from None
    return Document(path, tree, lines)


class _Refused(Exception):
    pass


def _lines(root: yaml.Node) -> dict[KeyPath, int]:
    found: dict[KeyPath, int] = {}

    def visit(node: yaml.Node, path: KeyPath) -> None:
        if len(path) > _DEEPEST:
            raise _Refused(f"line {node.start_mark.line + 1}: nested too deep, or inside itself")
        if isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                key = (*path, str(key_node.value))
                line = key_node.start_mark.line + 1
                if key in found:
                    dotted = ".".join(map(str, key))
                    raise _Refused(f"line {line}: {dotted} stands there twice")
                found[key] = line
                visit(value_node, key)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                key = (*path, index)
                found[key] = item.start_mark.line + 1
                visit(item, key)

    visit(root, ())
    return found


def _where_and_what(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error).splitlines()[0]


def _reason(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is not UTF-8 text"
