"""``extends``: a recipe file that says only what differs from another recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qat_cli.errors import UserError
from qat_cli.recipes.document import Document, KeyPath, read_document
from qat_cli.recipes.location import ALIASES, is_path, recipe_path

EXTENDS = "extends"
#: Keys that say something of the file, not of what it describes.
OF_THE_FILE = (EXTENDS, ALIASES)


def read_inherited(path: Path) -> Document:
    """Read a recipe file over the recipes that it extends; the result has no ``OF_THE_FILE``.

    Mappings are merged key by key; everything else, lists included, is replaced. A mapping that
    names a ``quantizer`` is replaced as a whole, as in a rule: what the recipe below said of
    another quantizer does not fit this one. Each key keeps the file and line that it came from.

    Raises:
        UserError: a file of the chain cannot be read or found, or the chain is a circle.
    """
    return _read(path, [])


def _read(path: Path, chain: list[Path]) -> Document:
    if path.resolve() in [earlier.resolve() for earlier in chain]:
        circle = " -> ".join(str(entry) for entry in [*chain, path])
        raise UserError(f"recipes extend each other in a circle: {circle}; remove one `extends`")
    document = read_document(path)
    document.tree.pop(ALIASES, None)
    if EXTENDS not in document.tree:
        return document
    named = document.tree.pop(EXTENDS)
    place = document.place((EXTENDS,))
    if not isinstance(named, str) or not named:
        raise UserError(f"{place}: extends: must be one recipe's name or path, got {named!r}")
    try:
        base_path = recipe_path(str(_beside(path, named)) if is_path(named) else named)
    except UserError as error:
        raise UserError(f"{place}: extends: {error}") from None
    return _over(_read(base_path, [*chain, path]), document)


def _beside(path: Path, named: str) -> Path:
    return path.parent / Path(named).expanduser()


def _over(base: Document, top: Document) -> Document:
    kept = {key: line for key, line in base.lines.items() if not _is_replaced(key, top.tree)}
    files = {key: base.files.get(key, base.path) for key in kept}
    lines = {**kept, **top.lines}
    files |= dict.fromkeys(top.lines, top.path)
    return Document(top.path, _merged(base.tree, top.tree), lines, files)


def _is_replaced(key: KeyPath, top: Any) -> bool:
    """Whether a key of the base is gone because the file over it has another value there."""
    for step in key:
        if _stands_alone(top):
            return True
        if step not in top:
            return False
        top = top[step]
    return False


def _merged(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in top.items():
        below = base.get(key)
        if isinstance(below, dict) and not _stands_alone(value):
            value = _merged(below, value)
        result[key] = value
    return result


def _stands_alone(value: Any) -> bool:
    return not isinstance(value, dict) or "quantizer" in value
