"""The places of recipes: shipped with the program, or a file."""

from __future__ import annotations

from pathlib import Path

import yaml

from qat_cli.errors import UserError, did_you_mean

_PACKAGE = Path(__file__).resolve().parents[1]
SUFFIXES = (".yaml", ".yml")
#: The key of a shipped recipe's file with shorter names for it.
ALIASES = "aliases"


def recipes_folder() -> Path:
    """The folder of the shipped recipes: inside the installed package, or in the checkout.

    Raises:
        UserError: neither is there (the installation is damaged).
    """
    for folder in (_PACKAGE / "_recipes", _PACKAGE.parent / "recipes"):
        if folder.is_dir():
            return folder
    raise UserError(f"no recipes beside {_PACKAGE}; reinstall with: pip install --force-reinstall")


def list_recipes() -> list[str]:
    """Names of the shipped recipes, sorted."""
    return sorted(path.stem for path in recipes_folder().glob("*.yaml"))


def aliases() -> dict[str, str]:
    """Further names of the shipped recipes, each with the name that it stands for."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is there
    files = [(name, recipes_folder() / f"{name}.yaml") for name in list_recipes()]
    trees = [(name, yaml.load(file.read_text(encoding="utf-8"), loader)) for name, file in files]
    return {alias: name for name, tree in trees for alias in tree.get(ALIASES, ())}


def is_path(name_or_path: str) -> bool:
    """Whether the text has a folder or a recipe's suffix; otherwise it is a name."""
    path = Path(name_or_path)
    return path.suffix.lower() in SUFFIXES or path.name != name_or_path


def recipe_path(name_or_path: str) -> Path:
    """The file of a recipe: a shipped one by name, any other by its path.

    Text with a folder or a ``.yaml``/``.yml`` suffix is a path; everything else is a name or one of
    the :func:`aliases`.

    Raises:
        UserError: there is no such file, or no such name (the nearest one is suggested).
    """
    path = Path(name_or_path).expanduser()
    if is_path(name_or_path):
        if path.is_file():
            return path
        what = "is a folder, not a recipe file" if path.is_dir() else "does not exist"
        ships = path.stem in list_recipes() and path.name == name_or_path
        hint = f"; the recipe that ships is called {path.stem}" if ships else ""
        raise UserError(f"recipe file {name_or_path} {what}{hint}")
    known = list_recipes()
    others = {} if name_or_path in known else aliases()
    name = others.get(name_or_path, name_or_path)
    if name in known:
        return recipes_folder() / f"{name}.yaml"
    raise UserError(
        f"no recipe {name_or_path!r}{did_you_mean(name_or_path, [*known, *others])}\n"
        f"recipes: {', '.join(known)}; a file of your own is named by its path, e.g. ./mine.yaml"
    )
