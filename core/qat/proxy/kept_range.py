"""The range of activations that a quantizer found, carried over to another grid."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_PARTS = ("scaling_impl.", "zero_point_impl.")
#: What :class:`qat.components.scaling.LSQScaling` keeps in units of the grid's step.
_STEPS = ("scaling_impl.value", "scaling_impl.buffer")


@dataclass(frozen=True)
class Range:
    """State of scaling and zero point; ``qmax`` of the grid where a step is stored, else None."""

    state: dict[str, Tensor]
    qmax: float | None


def read_range(quantizer: Any) -> Range | None:
    """The range that ``quantizer`` has now, with the state of its statistics phase.

    None where it can not be carried over: of a step that is stored as a logarithm.
    """
    if _qmax(quantizer) is not None and not quantizer.scaling_impl.is_unrestricted:
        return None
    held = quantizer.state_dict()
    state = {name: t.clone() for name, t in held.items() if name.startswith(_PARTS)}
    return Range(state, _qmax(quantizer))


def write_range(quantizer: Any, found: Range) -> None:
    """Give ``quantizer`` that range; what the two do not have in common stays as it is.

    A threshold is the same number on every grid. A step is longer on a coarser one: the range
    ``qmax * step`` stays.
    """
    qmax = _qmax(quantizer)
    with torch.no_grad():
        for name, tensor in quantizer.state_dict().items():
            kept = found.state.get(name)
            if kept is None or kept.shape != tensor.shape:
                continue
            tensor.copy_(kept)
            if name in _STEPS and found.qmax is not None and qmax is not None:
                tensor.mul_(found.qmax / qmax)


def _qmax(quantizer: Any) -> float | None:
    scaling = getattr(quantizer, "scaling_impl", None)
    qmax = getattr(scaling, "qmax", None)
    return None if qmax is None else float(qmax)
