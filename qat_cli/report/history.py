"""The figures of every epoch, as a table in a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from qat_cli.checkpoint import write_atomically

Row = Mapping[str, float]

COLUMNS = (
    "epoch",  # 1 is the first
    "lr",  # at the end of the epoch
    "train_loss",
    "train_top1",  # percent, as are the other accuracies
    "val_loss",
    "val_top1",
    "val_top5",
    "images_per_second",  # while training
    "seconds",  # of the epoch, validation included
)

#: Mean bit widths, where some are learned.
LEARNED_COLUMNS = ("weight_bits", "activation_bits")


def write_metrics(path: Path, history: Sequence[Row]) -> None:
    """Write one row per epoch; the file is replaced as a whole.

    Raises:
        WorkFailed: the file cannot be written.
    """
    text = io.StringIO()
    learned = [key for key in LEARNED_COLUMNS if any(key in row for row in history)]
    columns = [*COLUMNS, *learned]
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows({key: _short(row[key]) for key in columns if key in row} for row in history)
    write_atomically(path, text.getvalue().encode())


def _short(value: float) -> str:
    return f"{value:.7g}"
