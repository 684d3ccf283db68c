"""Rows of the table: goal, measured figure, and its neighbours."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import Spread

HEADINGS = ("work", "goal", "figure", "quartiles", "others", "")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        work: what is measured, against what.
        goal: the figure may be this at most; None where none is set.
        figure: what was measured; None where that failed.
        unit: of goal and figure; ``x`` is a ratio.
        low, high: quartiles of the figure over the rounds.
        others: figures of other libraries for the same work, in the same unit.
        details: further figures, kept in the file of results.
        error: why there is no figure.
    """

    work: str
    goal: float | None
    figure: float | None
    unit: str = "x"
    low: float | None = None
    high: float | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None

    @property
    def is_missed(self) -> bool:
        """The goal is not reached, or nothing could be measured."""
        if self.error is not None or self.figure is None:
            return True
        return self.goal is not None and not self.figure <= self.goal  # NaN reaches no goal

    @property
    def verdict(self) -> str:
        """One word for the last column."""
        if self.error is not None:
            return "FAILED"
        if self.goal is None:
            return ""
        return "MISSED" if self.is_missed else "ok"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a file, the verdict among them."""
        return {**dataclasses.asdict(self), "met": not self.is_missed}


def timed_row(work: str, goal: float, figure: Spread, **more: Any) -> Row:
    """A row whose figure is a ratio of times."""
    return Row(work, goal, figure.median, low=figure.low, high=figure.high, **more)


def failed_row(work: str, error: str) -> Row:
    """A row for work that could not be measured."""
    return Row(work, goal=None, figure=None, error=error)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as a JSON list."""
    path.write_text(json.dumps([row.as_dict() for row in rows], indent=2) + "\n", encoding="utf-8")


def read_rows(path: Path) -> list[Row]:
    """Read what :func:`write_rows` wrote."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return [Row(**{k: v for k, v in entry.items() if k != "met"}) for entry in entries]


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text; errors stand below."""
    lines = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
    text += [f"{row.work}: {row.error}" for row in rows if row.error is not None]
    return "\n".join(line.rstrip() for line in text)


def _cells(row: Row) -> tuple[str, ...]:
    quartiles = ""
    if row.low is not None and row.high is not None:
        quartiles = f"{row.low:.3f} - {row.high:.3f}"
    others = ", ".join(f"{name} {figure:.2f}" for name, figure in row.others.items())
    return (
        row.work,
        _with_unit(row.goal, row.unit, digits=2),
        _with_unit(row.figure, row.unit, digits=3),
        quartiles,
        others,
        row.verdict,
    )


def _with_unit(figure: float | None, unit: str, digits: int) -> str:
    return "-" if figure is None else f"{figure:.{digits}f} {unit}"
