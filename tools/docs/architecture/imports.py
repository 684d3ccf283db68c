"""Parts of the code and the imports among them.

A part is a folder or file directly below ``core/qat``, ``qat_cli`` or ``qat_cli/engine``.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
#: Package -> folder whose children are its parts.
PACKAGES = {"qat": ROOT / "core" / "qat", "qat_cli": ROOT / "qat_cli"}
#: Parts that are large enough to be shown by their own children.
OPENED = ("qat_cli.engine",)


@dataclass(frozen=True)
class Part:
    """One part: its dotted name, the first line of its docstring, and its number of files."""

    name: str
    summary: str
    files: int


def python_files(package: str) -> Iterator[tuple[str, Path]]:
    """Dotted name and path of every module of ``package``, its own ``__init__`` left out."""
    folder = PACKAGES[package]
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        module = ".".join((package, *parts)).removesuffix(".__init__")
        if module != package:
            yield module, path


def part_of(module: str) -> str:
    """The part that a module belongs to."""
    depth = 3 if module.startswith(tuple(f"{name}." for name in OPENED)) else 2
    return ".".join(module.split(".")[:depth])


def parts(package: str) -> list[Part]:
    """All parts of ``package``, by name."""
    members: dict[str, list[Path]] = {}
    for module, path in python_files(package):
        members.setdefault(part_of(module), []).append(path)
    return [Part(name, _summary(files), len(files)) for name, files in members.items()]


def imports(package: str) -> dict[str, Counter[str]]:
    """Part -> parts of both packages that its files import, and in how many files."""
    known = {part.name for each in PACKAGES for part in parts(each)}
    found: dict[str, Counter[str]] = {part.name: Counter() for part in parts(package)}
    for module, path in python_files(package):
        own = part_of(module)
        # what an opened part re-exports is named as if it were a part of its own
        named = {part_of(name) for name in modules_imported(path)}
        named = {name if name in known else name.rpartition(".")[0] for name in named}
        found[own].update(named & known - {own})
    return found


def modules_imported(path: Path) -> set[str]:
    """Dotted names that ``path`` imports anywhere in its code, members of a package among them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in PACKAGES}


def levels(graph: Mapping[str, Counter[str]]) -> dict[str, int]:
    """Part -> length of the longest chain of imports below it, within ``graph``.

    Raises:
        ValueError: parts that import each other in a circle.
    """
    found: dict[str, int] = {}
    left = {part: {other for other in below if other in graph} for part, below in graph.items()}
    while left:
        ready = [part for part, below in left.items() if not below & set(left)]
        if not ready:
            raise ValueError(f"a circle of imports among {', '.join(sorted(left))}")
        for part in ready:
            found[part] = max((found[other] + 1 for other in left[part]), default=0)
        for part in ready:
            del left[part]
    return found


def _summary(files: list[Path]) -> str:
    first = next((path for path in files if path.name == "__init__.py"), files[0])
    text = ast.get_docstring(ast.parse(first.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ")
