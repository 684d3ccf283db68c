"""The options that one command line gives, and commands that take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from qat_cli.app.options import rows_of
from qat_cli.terminal.console import Console

if TYPE_CHECKING:
    from qat_cli.recipes import Recipe
    from qat_cli.recipes.overrides import Override

#: Where a command finds, in the ``meta`` of its context, the words that it was started with.
ARGUMENTS = "qat_cli.arguments"


@dataclass(frozen=True)
class Given:
    """What one command line says.

    Args:
        settings: flag and recipe key of each option that sets one, by name.
        values: of all options by name; ``None`` or ``False`` where one was not given.
        words: the whole line.
    """

    settings: Mapping[str, tuple[str, str]]
    values: Mapping[str, Any]
    words: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def texts(self) -> list[str]:
        """The ``KEY=VALUE`` arguments as typed."""
        return self.values.get("overrides") or []

    @property
    def options(self) -> list[Override]:
        """What the options set in the recipe, each with its flag and value as its text."""
        from qat_cli.recipes.overrides import Override

        found = []
        for name, (flag, key) in self.settings.items():
            value = self.values[name]
            if value is not None and value is not False:
                text = flag if value is True else f"{flag} {value}"
                found.append(Override(tuple(key.split(".")), value, text))
        return found

    @property
    def keys(self) -> list[str]:
        """The dotted recipe keys that the line sets."""
        return [
            *(change.key for change in self.options),
            *(text.partition("=")[0].strip() for text in self.texts),
        ]

    @property
    def names_model(self) -> bool:
        """The user named the model on this line, so that its code may run."""
        return not {"model", "model.name"}.isdisjoint(self.keys)

    @property
    def names_teacher(self) -> bool:
        """The user named the model that teaches on this line, so that its code may run."""
        return not {"distill", "distill.model"}.isdisjoint(self.keys)

    def load(self, name_or_path: str) -> Recipe:
        """A recipe with the changes of this line.

        Raises:
            UserError: there is no such recipe, or it is not valid with them.
        """
        from qat_cli.recipes import load_recipe

        return load_recipe(name_or_path, self.texts, self.options)

    def console(self) -> Console:
        """What the command writes to."""
        return Console(self["json"], self["quiet"])


def with_options(command: str) -> Callable[[Callable[[Given], None]], Callable[..., None]]:
    """Declare a function as a command that has the options of ``command`` in the table."""

    rows = rows_of(command)
    settings = {row.name: (row.flag, row.key) for row in rows if row.key is not None}

    def declare(function: Callable[[Given], None]) -> Callable[..., None]:
        def run(context: typer.Context, **values: Any) -> None:
            function(Given(settings, values, tuple(context.meta.get(ARGUMENTS, ()))))

        parameters = [
            inspect.Parameter(
                "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
            ),
            *(row.parameter() for row in rows),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {entry.name: entry.annotation for entry in parameters}
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__module__ = function.__module__
        return run

    return declare
