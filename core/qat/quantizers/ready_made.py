"""The ready-made quantizers by name."""

import difflib

from qat.inject import ExtendedInjector

from .accumulators import ACCUMULATOR
from .activation import ACTIVATION
from .batch import BATCH
from .bias import BIAS
from .binary_papers import BINARY_PAPERS
from .binary_ternary import BINARY_TERNARY
from .decoupled import DECOUPLED
from .dynamic import DYNAMIC
from .fixed_point import FIXED_POINT
from .floats import FLOATS
from .floats_fnuz import FLOATS_FNUZ
from .floats_ocp import FLOATS_OCP
from .groups import GROUPS
from .low_bit_papers import LOW_BIT_PAPERS
from .mx import MX
from .none import NONE
from .shifted import SHIFTED
from .weight import WEIGHT

#: Family by family, in the order of the documentation.
_READY_MADE = {
    **WEIGHT,
    **ACTIVATION,
    **BIAS,
    **ACCUMULATOR,
    **SHIFTED,
    **FIXED_POINT,
    **DECOUPLED,
    **BATCH,
    **DYNAMIC,
    **GROUPS,
    **BINARY_TERNARY,
    **BINARY_PAPERS,
    **LOW_BIT_PAPERS,
    **FLOATS,
    **FLOATS_OCP,
    **FLOATS_FNUZ,
    **MX,
    **NONE,
}


def ready_made_names() -> list[str]:
    """Names of all ready-made quantizers, in alphabetical order."""
    return sorted(_READY_MADE)


def ready_made_quantizers() -> list[type[ExtendedInjector]]:
    """All ready-made quantizers, family by family."""
    return list(_READY_MADE.values())


def ready_made(name: str) -> type[ExtendedInjector]:
    """The ready-made quantizer of that name; ValueError names the nearest where there is none."""
    if name not in _READY_MADE:
        near = difflib.get_close_matches(name, _READY_MADE, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(
            f"there is no ready-made quantizer {name!r}{hint} All: {', '.join(ready_made_names())}."
        )
    return _READY_MADE[name]
