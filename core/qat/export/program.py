"""The values that every writer of :mod:`qat.export` reads."""

from dataclasses import dataclass

from torch import Tensor

from qat.formats import IntFormat
from qat.granularity import Granularity


@dataclass(frozen=True, eq=False)
class IntParameter:
    """A parameter of a network in its integers: ``value = (integers - zero_point) * scale``.

    Args:
        name: dotted name in the model, as in its state dict.
        integers: on the grid of ``format``; shape of the float parameter.
        format: of the integers.
        scale: float, > 0, broadcastable to ``integers``.
        zero_point: integer-valued float, broadcastable to ``integers``.
        granularity: how many integers share a scale.
    """

    name: str
    integers: Tensor
    format: IntFormat
    scale: Tensor
    zero_point: Tensor
    granularity: Granularity

    @property
    def value(self) -> Tensor:
        """The reals that the network computes with, in the type of ``scale``."""
        return (self.integers.to(self.scale.dtype) - self.zero_point) * self.scale


@dataclass(frozen=True)
class FloatPart:
    """A parameter that stays in float, and the reason."""

    name: str
    reason: str
