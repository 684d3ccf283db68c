"""A post-training step: its call and its report.

A step changes a trained model in place, without labels and without training it, and says per layer
what it did. It knows nothing of files, consoles or recipes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

#: Batches of images, on the model's device; iterated anew by each pass over them.
Images = Iterable[Tensor]
#: Told how many images of a pass are done.
Progress = Callable[[int], None]


@dataclass(frozen=True)
class StepReport:
    """The account of one step.

    Args:
        step: its name in the table of steps.
        images: how many it has seen.
        layers: what it did, by the name of the layer or quantizer.
    """

    step: str
    images: int = 0
    layers: Mapping[str, str] = field(default_factory=dict)


class Step(Protocol):
    """A function that changes ``model`` in place."""

    def __call__(self, model: nn.Module, images: Images, progress: Progress) -> StepReport:
        """Take the step.

        Args:
            model: quantized, in evaluation mode.
            images: to calibrate on.
            progress: told the images done.
        Raises:
            ValueError: the step cannot be taken on this model.
        """
