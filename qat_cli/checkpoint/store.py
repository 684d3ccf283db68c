"""The checkpoint file of this program.

It has everything needed to evaluate a model, or to go on training.
Only numbers, strings, lists, dicts and tensors go in, so it is read with ``weights_only=True``.
"""

from __future__ import annotations

import io
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qat_cli.checkpoint.atomic import write_atomically
from qat_cli.checkpoint.reading import read_tensor_file
from qat_cli.errors import UserError
from qat_cli.recipes import Recipe, recipe_from_tree

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Args:
        recipe: resolved; the model is built from it, then ``weights`` are loaded strictly.
        weights: the state dict, quantizers included.
        classes: names, in the order of the model's outputs.
        input_shape: (channels, height, width) of the images it was trained on.
        metrics: figures by part, e.g. ``{"val": {"top1": 98.1, ...}}``, and ``epoch``.
        training: optimizer, position and random states; empty where training cannot go on.
        versions: of the packages that wrote the file.
    """

    recipe: Recipe
    weights: Mapping[str, Tensor]
    classes: list[str]
    input_shape: tuple[int, int, int]
    metrics: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` so that a kill at any moment leaves the old file or the new one.

    Raises:
        WorkFailed: the file cannot be written; the old one is unchanged.
    """
    document = {
        "qat_format": FORMAT,
        "recipe": checkpoint.recipe.model_dump(mode="json"),
        "weights": checkpoint.weights,
        "classes": list(checkpoint.classes),
        "input_shape": list(checkpoint.input_shape),
        "normalization": {
            "mean": checkpoint.recipe.data.mean,
            "std": checkpoint.recipe.data.std,
        },
        "metrics": dict(checkpoint.metrics),
        "training": dict(checkpoint.training),
        "versions": dict(checkpoint.versions) or library_versions(),
    }
    buffer = io.BytesIO()  # not the file itself: a full disk must be an OSError, not torch's
    torch.save(document, buffer)
    write_atomically(path, buffer.getvalue())


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint that this program wrote.

    Raises:
        UserError: see :func:`read_tensor_file`; or it is not a checkpoint of this program, a newer
            format, or its recipe is not valid.
    """
    path = Path(path).expanduser()
    document = read_tensor_file(path)
    if not isinstance(document, Mapping) or "qat_format" not in document:
        raise UserError(
            f"{path} is not a checkpoint of this program; evaluate plain weights with "
            f"qat eval --model MODEL --weights {path} --data DATA."
        )
    if document["qat_format"] != FORMAT:
        raise UserError(
            f"{path} has checkpoint format {document['qat_format']}, this program reads {FORMAT}; "
            "use the version of qat that wrote it."
        )
    try:
        return Checkpoint(
            recipe=recipe_from_tree(document["recipe"], str(path)),
            weights=document["weights"],
            classes=list(document["classes"]),
            input_shape=tuple(document["input_shape"]),
            metrics=document["metrics"],
            training=document["training"],
            versions=document["versions"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} lacks parts of a checkpoint ({error}); it was altered.") from error


def library_versions() -> dict[str, str]:
    """Versions of what shapes a result: Python, torch."""
    return {"python": platform.python_version(), "torch": str(torch.__version__)}
