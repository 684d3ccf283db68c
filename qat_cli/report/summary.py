"""Summary of a finished run: one typed object, and its JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from qat_cli.errors import UserError
from qat_cli.report.documents import finite

COMMON = ("command", "recipe", "model", "weights", "data", "device")
TEST = ("top1", "top5", "loss", "images")  # of the test part, once more at the top
#: Keys of the document of each command, in their order; those of ``OPTIONAL`` where they have a
#: value.
KEYS: Mapping[str, tuple[str, ...]] = {
    "train": (
        *(key for key in COMMON if key != "weights"),
        *("processes", "backend", "precision", "deterministic", "run", "checkpoint"),
        *("epochs", "epochs_trained", "stopped_early", "best_epoch", *TEST),
        *("val", "test", "float_test", "weight_bits", "activation_bits", "bit_widths"),
        *("parameters", "seconds", "versions"),
    ),
    "calibrate": (
        *(*COMMON, "backend", "run", "checkpoint", "calibration_images", *TEST),
        *("test", "float_test", "versions"),
    ),
}
OPTIONAL = ("weight_bits", "activation_bits", "bit_widths")


@dataclass(frozen=True)
class Metrics:
    """Averages over ``images`` images: mean cross-entropy, accuracies in percent.

    ``top5`` counts the five highest outputs, or all of them where a model has fewer.
    """

    loss: float
    top1: float
    top5: float
    images: int

    def as_dict(self) -> dict[str, float]:
        """Plain values, for files."""
        return asdict(self)


@dataclass(frozen=True)
class RunSummary:
    """Setting and outcome of a run.

    Args:
        command: a key of ``KEYS``.
        recipe, model, data, device: names.
        run, checkpoint: paths of the folder and of the best checkpoint.
        test: figures of that checkpoint on the test part.
        weights: file that the model started from.
        backend: of the quantizers; ``None`` for a float model.
        processes, precision, deterministic: settings of training.
        epochs, epochs_trained, best_epoch: asked for, done, and the one of the best checkpoint.
        val: validation figures of that epoch.
        float_test: test figures of the float model that the run started from, if known.
        weight_bits, activation_bits, bit_widths: mean bit widths, and those of each quantizer,
            where some are learned.
        parameters: how many numbers the model learns.
        seconds: of all epochs.
        calibration_images: shown to measure ranges.
        versions: of the packages that shape a result.
    """

    command: str
    recipe: str
    model: str
    data: str
    device: str
    run: str
    checkpoint: str
    test: Metrics
    weights: str | None = None
    backend: str | None = None
    processes: int = 1
    precision: str = "float32"
    deterministic: bool = False
    epochs: int = 0
    epochs_trained: int = 0
    best_epoch: int = 0
    val: Metrics | None = None
    float_test: Metrics | None = None
    weight_bits: float | None = None
    activation_bits: float | None = None
    bit_widths: Mapping[str, int] | None = None
    parameters: int = 0
    seconds: float = 0.0
    calibration_images: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def stopped_early(self) -> bool:
        """Fewer epochs were trained than asked for."""
        return self.epochs_trained < self.epochs

    def to_json(self) -> dict[str, Any]:
        """The document: plain values, ``None`` for numbers that are not finite."""
        values = {**asdict(self), **asdict(self.test), "stopped_early": self.stopped_early}
        keys = KEYS[self.command]
        said = {k: values[k] for k in keys if k not in OPTIONAL or values[k] is not None}
        document: dict[str, Any] = finite(said)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RunSummary:
        """The summary that a document says; keys that are not known are left out.

        Raises:
            ValueError: the document is not a summary.
        """
        known = {each.name for each in fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        try:
            for key in ("val", "test", "float_test"):
                if values.get(key) is not None:
                    values[key] = _metrics(values[key])
            summary = cls(**values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a summary of a run: {error}") from error
        if summary.command not in KEYS or not isinstance(summary.test, Metrics):
            raise ValueError(f"not a summary of a run: command {summary.command!r}")
        return summary


def read_summary(path: Path) -> RunSummary:
    """The summary in a file of this version or of one before.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise ValueError("not a summary of a run")
        return RunSummary.from_json(document)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}; give the summary.json of a run folder.") from error


def _metrics(figures: Mapping[str, Any]) -> Metrics:
    found: dict[str, Any] = {
        key: math.nan if value is None else value for key, value in figures.items()
    }
    return Metrics(**found)
