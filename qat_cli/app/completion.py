"""What the shell offers after the tab key: names of recipes, models, datasets and keys.

Importing the tables of models and datasets imports torch, which takes seconds at every key press.
So their names are read from the source text of those tables, ours and torchvision's, without
running it; a test compares them with the tables themselves. Where nothing fits, the shell offers
files.
"""

from __future__ import annotations

import ast
import glob
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
# @register_model(), then the function that builds the model of that name
REGISTERED = re.compile(r"^@register_model\(\)\s+(?:@.*\s+)*def (\w+)", re.MULTILINE)

Completion = Iterator[tuple[str, str]]


def complete_recipe(incomplete: str) -> Completion:
    """Names of the shipped recipes, with their descriptions."""
    import yaml

    from qat_cli.recipes.location import list_recipes, recipes_folder

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is there
    for name in _fitting(list_recipes, incomplete):
        text = (recipes_folder() / f"{name}.yaml").read_text(encoding="utf-8")
        yield name, yaml.load(text, loader).get("description", "")


def complete_model(incomplete: str) -> Completion:
    """Built-in models, then torchvision's classifiers."""
    for name in _fitting(lambda: table_keys("models", "BUILT_IN"), incomplete):
        yield name, "built in"
    for name in _fitting(torchvision_models, incomplete):
        yield name, "torchvision"


def complete_data(incomplete: str) -> Completion:
    """The datasets by name, and folders that begin alike: the shell offers those only alone."""
    names = _fitting(lambda: table_keys("data", "SOURCES"), incomplete)
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


def table_keys(package: str, name: str) -> list[str]:
    """The text keys of a dict literal that a file of ``qat_cli/<package>`` assigns to ``name``.

    ``**`` entries are followed to the tables of the same package that they name.
    """
    found: list[str] = []
    for path in sorted((PACKAGE / package).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if f"{name}:" in source or f"{name} =" in source:
            for statement in ast.parse(source).body:
                if isinstance(statement, ast.Assign | ast.AnnAssign) and _target(statement) == name:
                    found += _keys(statement.value, package)
    return found


def torchvision_models() -> list[str]:
    """The names under which torchvision's source registers classifiers, sorted."""
    spec = importlib.util.find_spec("torchvision")
    folders = spec.submodule_search_locations if spec is not None else None
    files = [path for folder in folders or () for path in Path(folder, "models").glob("*.py")]
    return sorted(name for path in files for name in REGISTERED.findall(path.read_text("utf-8")))


def _fitting(names: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    return [name for name in names() if name.startswith(incomplete)]


def _target(statement: ast.Assign | ast.AnnAssign) -> str | None:
    target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
    return target.id if isinstance(target, ast.Name) else None


def _keys(value: ast.expr | None, package: str) -> list[str]:
    if not isinstance(value, ast.Dict):
        return []
    keys: list[str] = []
    for key, entry in zip(value.keys, value.values, strict=True):
        if isinstance(key, ast.Constant):
            keys.append(str(key.value))
        elif key is None:  # ** and an expression that names another table
            for node in ast.walk(entry):
                if isinstance(node, ast.Name) and node.id.isupper():
                    keys += table_keys(package, node.id)
    return keys
