"""The targets of an export, by name: one row each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from qat.enums import lookup
from qat.export.packed import write_packed
from qat.export.program import FloatPart


@dataclass(frozen=True)
class Target:
    """A kind of file that a network can leave as.

    Args:
        description: one line, for help.
        suffix: of the file.
        write: writes a model to a path, and returns which quantized parts stay float there.
    """

    description: str
    suffix: str
    write: Callable[[nn.Module, Path], list[FloatPart]]


TARGETS = {
    "packed": Target("parameters in their bits, as safetensors", ".safetensors", write_packed),
}


def export(model: nn.Module, path: str | Path, target: str = "packed") -> list[FloatPart]:
    """Write ``model`` to ``path`` as ``target`` has it.

    Returns:
        The quantized parts that are float in the file, each with its reason.
    Raises:
        ValueError: no such target; the text lists them.
        OSError: ``path`` cannot be written.
    """
    return lookup(TARGETS, target, "target").write(model, Path(path))
