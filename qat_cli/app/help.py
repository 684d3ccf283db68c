"""The help of a command: options under headings, and examples below.

The headings are those of :mod:`qat_cli.app.options`. Typer's own groups need rich, whose import
takes half of the time that the help has.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from qat_cli.app.options import heading_of, headings

_REST = {"argument": "Arguments", "option": "Options"}


class Command(TyperCommand):
    """A command whose help lists its parameters under the headings of the table of options."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the headings in order, then the arguments and options left over."""
        found: dict[str, list[tuple[str, str]]] = {
            title: [] for title in (*headings(), *_REST.values())
        }
        parameters = self.get_params(ctx)
        titles = [heading_of(str(self.name), str(parameter.name)) for parameter in parameters]
        for parameter, title in zip(parameters, titles, strict=True):
            record = parameter.get_help_record(ctx)
            if titles.count(title) < 2:  # one option needs no heading
                title = ""
            if record is not None:
                found[title or _REST[parameter.param_type_name]].append(_shown(parameter, record))
        for title, records in found.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _shown(parameter: Any, record: tuple[str, str]) -> tuple[str, str]:
    """An argument is called what its usage line calls it, without its Python type."""
    is_argument = parameter.param_type_name == "argument"
    return (parameter.metavar, record[1]) if is_argument and parameter.metavar else record


def examples(*lines: str) -> str:
    """Commands to show below a help text, one a line."""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  {line}" for line in lines)])
