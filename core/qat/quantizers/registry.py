"""The ready-made quantizers by name."""

import difflib

from qat.inject import ExtendedInjector
from qat.quantizers.ready.accumulators import ACCUMULATOR
from qat.quantizers.ready.activation import ACTIVATION
from qat.quantizers.ready.batch import BATCH
from qat.quantizers.ready.bias import BIAS
from qat.quantizers.ready.binary_papers import BINARY_PAPERS
from qat.quantizers.ready.binary_ternary import BINARY_TERNARY
from qat.quantizers.ready.decoupled import DECOUPLED
from qat.quantizers.ready.dynamic import DYNAMIC
from qat.quantizers.ready.fixed_point import FIXED_POINT
from qat.quantizers.ready.floats import FLOATS
from qat.quantizers.ready.floats_fnuz import FLOATS_FNUZ
from qat.quantizers.ready.floats_ocp import FLOATS_OCP
from qat.quantizers.ready.groups import GROUPS
from qat.quantizers.ready.low_bit_papers import LOW_BIT_PAPERS
from qat.quantizers.ready.mx import MX
from qat.quantizers.ready.none import NONE
from qat.quantizers.ready.shifted import SHIFTED
from qat.quantizers.ready.weight import WEIGHT

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
