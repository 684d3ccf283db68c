"""Page ``porting.md``: every public name of Brevitas, and what differs."""

from collections import defaultdict
from collections.abc import Iterable

from tools.docs.differences import WANTED
from tools.docs.markdown import cell, table
from tools.docs.porting_names import (
    COUNTERPARTS,
    Port,
    brevitas_version,
    counterpart,
    package_of,
    ports,
)
from tools.docs.porting_text import DIFFERENCES, INTRODUCTION, OTHERS


def page() -> str:
    """The whole text."""
    by_package: dict[str, list[Port]] = defaultdict(list)
    for port in ports():
        by_package[package_of(port.module)].append(port)
    parts = [INTRODUCTION.format(version=brevitas_version())]
    for package in COUNTERPARTS:
        if by_package[package]:
            parts.append(_section(package, by_package[package]))
    differences = "".join(f"- {_names(each.names)}: {each.reason}\n" for each in WANTED)
    return "\n".join([*parts, OTHERS, DIFFERENCES]) + differences


def _names(patterns: str) -> str:
    return ", ".join(f"`{pattern}`" for pattern in patterns.split())


def _section(package: str, names: list[Port]) -> str:
    there = [port for port in names if port.ours is not None and not port.is_renamed]
    renamed = [port for port in names if port.is_renamed]
    missing = [port for port in names if port.ours is None]
    parts = [f"## `{package}` is `{counterpart(package)}`\n"]
    parts.extend(_same(there, counterpart(package)))
    if renamed:
        parts.append("Under another name:\n")
        columns = {
            "Brevitas": [f"`{port.name}`" for port in renamed],
            "here": [f"`{port.ours}`" for port in renamed],
        }
        parts.append(table(columns))
    if missing:
        parts.append("Not there:\n")
        parts.append(_missing(missing))
    return "\n".join(parts)


def _same(names: list[Port], ours: str) -> Iterable[str]:
    if names:
        yield f"The same name, in `{ours}` itself, from:\n"
    modules = dict.fromkeys(port.module for port in names)
    for module in modules:
        listed = ", ".join(f"`{port.name}`" for port in names if port.module == module)
        yield f"- `{module}`: {listed}"
    yield ""


def _missing(names: list[Port]) -> str:
    by_reason: dict[tuple[str, str], list[Port]] = defaultdict(list)
    for port in names:
        by_reason[port.module, port.reason].append(port)
    columns: dict[str, list[str]] = {"Brevitas": [], "names": [], "why": []}
    for (module, reason), members in by_reason.items():
        columns["Brevitas"].append(f"`{module}`")
        columns["names"].append(", ".join(f"`{port.name}`" for port in members))
        columns["why"].append(cell(reason))
    return table(columns)
