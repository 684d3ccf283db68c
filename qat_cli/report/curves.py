"""Loss and accuracy over the epochs, as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from qat_cli.checkpoint import write_atomically
from qat_cli.report.history import Row

TRAIN_COLOR, VAL_COLOR, BEST_COLOR = "#9aa5b1", "#1f5fa8", "#c8641e"


def write_curves(path: Path, history: Sequence[Row], title: str, best_epoch: int) -> None:
    """Draw loss and top-1 accuracy of the training and validation part against the epoch.

    Args:
        path: the PNG file.
        history: one row per epoch, at least one.
        title: of the picture.
        best_epoch: is marked; 1 is the first epoch.
    Raises:
        WorkFailed: the file cannot be written.
    """
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for axes, quantity, label in (
        (loss, "loss", "cross-entropy loss"),
        (accuracy, "top1", "top-1 accuracy (%)"),
    ):
        _draw(axes, history, quantity, best_epoch)
        axes.set_ylabel(label)
    figure.suptitle(title, x=0.01, ha="left")
    figure.legend(*loss.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomically(path, buffer.getvalue())


def _draw(axes, history: Sequence[Row], quantity: str, best_epoch: int) -> None:  # type: ignore[no-untyped-def]
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(history) < 15 else None
    for part, name, color in (
        ("train", "training", TRAIN_COLOR),
        ("val", "validation", VAL_COLOR),
    ):
        values = [row[f"{part}_{quantity}"] for row in history]
        axes.plot(epochs, values, color=color, marker=marker, markersize=3, label=name)
    axes.axvline(best_epoch, color=BEST_COLOR, linestyle=":", label=f"best: epoch {best_epoch}")
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
