"""Loggers of the figures of every epoch.

A logger is made with the run folder and told the whole history after every epoch. ``metrics.csv``
is always written; ``train.logger`` names one more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from qat_cli.errors import UserError
from qat_cli.report.history import Row, write_metrics
from qat_cli.report.run_folder import RunFolder

# The tags under which TensorBoard shows each column: what stands together is drawn together.
TAGS: Mapping[str, str] = {
    "train_loss": "loss/train",
    "val_loss": "loss/val",
    "train_top1": "top1/train",
    "val_top1": "top1/val",
    "lr": "lr",
    "images_per_second": "images_per_second",
}


class Logger(Protocol):
    """Told about every epoch."""

    def log_epoch(self, history: Sequence[Row]) -> None:
        """An epoch is over: the last row of ``history`` is new."""

    def close(self) -> None:
        """The run is over, or interrupted."""


class CsvLogger:
    """``metrics.csv``, replaced as a whole after every epoch."""

    def __init__(self, folder: RunFolder) -> None:
        self.path = folder.metrics

    def log_epoch(self, history: Sequence[Row]) -> None:
        """Write the file.

        Raises:
            WorkFailed: it cannot be written.
        """
        write_metrics(self.path, history)

    def close(self) -> None:
        """Nothing is left open."""


class TensorboardLogger:
    """Scalars over the epochs in the run folder; a resumed run adds a file to those there.

    Raises:
        UserError: the package tensorboard is not installed.
    """

    def __init__(self, folder: RunFolder) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                f"train.logger tensorboard needs the package tensorboard ({error}): "
                "pip install 'qat-cli[tensorboard]', or leave --logger out."
            ) from None
        self._writer = SummaryWriter(str(folder.tensorboard))

    def log_epoch(self, history: Sequence[Row]) -> None:
        """Add the last epoch."""
        row = history[-1]
        for column, tag in TAGS.items():
            self._writer.add_scalar(tag, row[column], int(row["epoch"]))
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


LOGGERS: Mapping[str, Sequence[Callable[[RunFolder], Logger]]] = {
    "none": (CsvLogger,),
    "tensorboard": (CsvLogger, TensorboardLogger),
}


class Loggers:
    """All loggers of one run.

    Args:
        name: a key of ``LOGGERS``; ``None`` for no logger at all, where another process writes.
        folder: of the run.
    Raises:
        UserError: a package that one of them needs is not installed.
    """

    def __init__(self, name: str | None, folder: RunFolder) -> None:
        self._loggers = [] if name is None else [make(folder) for make in LOGGERS[name]]

    def log_epoch(self, history: Sequence[Row]) -> None:
        """Tell all of them."""
        for logger in self._loggers:
            logger.log_epoch(history)

    def close(self) -> None:
        """Close all of them."""
        for logger in self._loggers:
            logger.close()
