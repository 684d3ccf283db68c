"""Confusion matrix as a picture."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qat_cli.checkpoint import write_atomically

COUNTS_UP_TO = 20  # classes; with more, a number does not fit into its cell
NAMES_UP_TO = 120  # classes; with more, only some rows are named
NAME_LENGTH = 18
WORST = 5  # confusions listed below the picture
OTHER = "other"
LINES = "#dde2e8"  # colour of what separates cells


def write_confusion(
    path: Path, counts: Sequence[Sequence[int]], classes: Sequence[str], title: str
) -> None:
    """Draw a confusion matrix: a row per true class, shares of that row as colours.

    Correct answers are blue, errors orange. Counts stand in the cells of up to 20 classes; the most
    frequent errors stand below in words.

    Args:
        path: the PNG file.
        counts: images by true class (row) and predicted class (column), K x (K + 1); the last
            column, outputs that are no class of the data, is drawn only where it is not empty.
        classes: K names.
        title: of the picture.
    Raises:
        WorkFailed: the file cannot be written.
    """
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    table = np.asarray(counts)
    names = [_short(name) for name in classes]
    predicted = list(names)
    if table[:, -1].any():
        predicted.append(OTHER)
    table = table[:, : len(predicted)]
    side = min(max(0.42 * len(names) + 2.5, 5.2), 14)
    figure = Figure(figsize=(side + 1, side), dpi=120, layout="constrained")
    axes = figure.subplots()
    shares = 100 * table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    _draw_cells(figure, axes, shares)
    _draw_names(axes, names, predicted, side)
    if len(names) <= COUNTS_UP_TO:
        _draw_counts(axes, table, shares)
    axes.set_title(title, loc="left", fontsize=10)
    worst = _worst(table, names, predicted)
    figure.supxlabel(worst, fontsize=8, x=0.02, ha="left", parse_math=False)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a letter the font lacks is a box
        figure.savefig(buffer, format="png")
    write_atomically(path, buffer.getvalue())


def _draw_cells(figure: Any, axes: Any, shares: np.ndarray) -> None:
    from matplotlib.colors import PowerNorm

    correct = _diagonal(shares.shape)
    empty = shares == 0
    # The root of a share: an error of 1 % is seen beside a diagonal of 99 %.
    for mask, colours, label in (
        (np.logical_not(correct) | empty, "Blues", "correct (%)"),
        (correct | empty, "Oranges", "taken for another class (%)"),
    ):
        image = axes.imshow(
            np.ma.array(shares, mask=mask), cmap=colours, norm=PowerNorm(0.5, 0, 100), aspect="auto"
        )
        bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, ticks=[0, 1, 5, 20, 50, 100])
        bar.set_label(label, fontsize=8)
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)
    axes.spines[:].set_color(LINES)
    if len(shares) <= COUNTS_UP_TO:
        axes.set_xticks(np.arange(1, shares.shape[1]) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, len(shares)) - 0.5, minor=True)
        axes.grid(which="minor", color=LINES, linewidth=0.8)
        axes.tick_params(which="minor", length=0)


def _draw_names(axes: Any, names: list[str], predicted: list[str], side: float) -> None:
    step = -(-len(names) // NAMES_UP_TO)
    size = min(9.0, 50 * side / len(names) * step)  # points: 72 an inch, less the space between
    rows, columns = range(0, len(names), step), range(0, len(predicted), step)
    upright = len(names) > 12 or max(map(len, predicted)) > 6
    style = {"fontsize": size, "parse_math": False}  # a folder may be called $5
    axes.set_yticks(rows, [names[i] for i in rows], **style)
    axes.set_xticks(
        columns, [predicted[i] for i in columns], rotation=90 if upright else 0, **style
    )
    axes.tick_params(length=0)
    axes.set_ylabel("true class")
    axes.set_xlabel("predicted class")


def _draw_counts(axes: Any, table: np.ndarray, shares: np.ndarray) -> None:
    size = 9 if len(table) <= 12 else 7
    for (row, column), count in np.ndenumerate(table):
        if count:
            text = f"{count}\n{shares[row, column]:.1f} %" if len(table) <= 5 else str(count)
            colour = "white" if shares[row, column] > 40 else "#333333"
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def _worst(table: np.ndarray, names: list[str], predicted: list[str]) -> str:
    """The most frequent errors in words, a line each."""
    errors = np.where(_diagonal(table.shape), 0, table)
    order = np.argsort(-errors, axis=None, kind="stable")[:WORST]
    pairs = [np.unravel_index(place, table.shape) for place in order if errors.flat[place]]
    lines = [
        f"{names[row]} taken for {predicted[column]}: {errors[row, column]} of {table[row].sum()}"
        for row, column in pairs
    ]
    return "\n".join(["most frequent errors", *lines]) if lines else "no errors"


def _diagonal(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(shape[0])[:, None] == np.arange(shape[1])


def _short(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"
