"""The ready-made quantizers by name."""

import difflib

from qat.inject import ExtendedInjector

from .activation import ACTIVATION
from .bias import BIAS
from .weight import WEIGHT

_READY_MADE = {**WEIGHT, **ACTIVATION, **BIAS}


def ready_made_names() -> list[str]:
    """Names of all ready-made quantizers, in alphabetical order."""
    return sorted(_READY_MADE)


def ready_made(name: str) -> type[ExtendedInjector]:
    """The ready-made quantizer of that name; ValueError names the nearest where there is none."""
    if name not in _READY_MADE:
        near = difflib.get_close_matches(name, _READY_MADE, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(
            f"there is no ready-made quantizer {name!r}{hint} All: {', '.join(ready_made_names())}."
        )
    return _READY_MADE[name]
