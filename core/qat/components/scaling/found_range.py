"""Ranges that quantizers of activations found, carried over to another grid.

Works on scripted quantizers too, which are known by their attributes.
"""

from dataclasses import dataclass
from typing import Any, Dict, Optional

import torch
from torch import Tensor

_PARTS = ("scaling_impl.", "zero_point_impl.")


@dataclass(frozen=True)
class FoundRange:
    """State of scaling and zero point; ``qmax`` of the grid where a step is stored, else None."""

    state: Dict[str, Tensor]
    qmax: Optional[float]


def found_range(quantizer: Any) -> Optional[FoundRange]:
    """The range that ``quantizer`` has now, with the state of its statistics phase.

    None where it cannot be carried over: of a step that is stored as a logarithm.
    """
    qmax = _qmax(quantizer)
    if qmax is not None and not quantizer.scaling_impl.is_unrestricted:
        return None
    held = quantizer.state_dict()
    return FoundRange({key: held[key].clone() for key in held if key.startswith(_PARTS)}, qmax)


def set_range(quantizer: Any, found: FoundRange) -> None:
    """Give ``quantizer`` that range; what the two do not have in common stays as it is.

    A threshold is the same number on every grid; a step is stretched, see
    :meth:`qat.components.scaling.LSQScaling.stretch`.
    """
    with torch.no_grad():
        for key, tensor in quantizer.state_dict().items():
            kept = found.state.get(key)
            if kept is not None and kept.shape == tensor.shape:
                tensor.copy_(kept)
    if found.qmax is not None and _qmax(quantizer) is not None:
        quantizer.scaling_impl.stretch(found.qmax)


def _qmax(quantizer: Any) -> Optional[float]:
    scaling = getattr(quantizer, "scaling_impl", None)
    return getattr(scaling, "qmax", None)
