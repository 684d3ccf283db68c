"""Completion in the shell: names of recipes, models, datasets and keys.

Importing torch takes seconds, at every key press: nothing that is imported here does. Where nothing
fits, the shell offers files.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

Completion = Iterator[tuple[str, str]]


def complete_recipe(incomplete: str) -> Completion:
    """Names of the shipped recipes, with their descriptions."""
    import yaml

    from qat_cli.recipes.location import list_recipes, recipes_folder

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is there
    for name in _fitting(list_recipes(), incomplete):
        text = (recipes_folder() / f"{name}.yaml").read_text(encoding="utf-8")
        yield name, yaml.load(text, loader).get("description", "")


def complete_model(incomplete: str) -> Completion:
    """Built-in models, then torchvision's classifiers."""
    from qat_cli.models.built_in import BUILT_IN
    from qat_cli.models.names import TORCHVISION

    for name in _fitting(BUILT_IN, incomplete):
        yield name, "built in"
    for name in _fitting(TORCHVISION, incomplete):
        yield name, "torchvision"


def complete_data(incomplete: str) -> Completion:
    """The datasets by name, and folders that begin alike: the shell offers those only alone."""
    from qat_cli.data.registry import SOURCES

    names = _fitting(SOURCES, incomplete)
    for name in names:
        yield name, "dataset"
    if names and incomplete:
        for path in sorted(Path().glob(f"{glob.escape(incomplete)}*/")):
            if path.is_dir():
                yield f"{path}/", "folder"


def complete_key(incomplete: str) -> Completion:
    """The dotted keys of a recipe, with their meaning."""
    from qat_cli.recipes.keys import known_keys

    for known in known_keys():
        if known.key.startswith(incomplete):
            yield known.key, known.description


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
