"""Registry of the ready-made quantizers by name.

They are found in the modules of ``ready``, which declare them.
"""

import difflib
import functools
from typing import Any

from qat.enums import QuantType
from qat.inject import ExtendedInjector
from qat.quantizers.ready import (
    accumulators,
    activation,
    batch,
    bias,
    binary_papers,
    binary_ternary,
    decoupled,
    dynamic,
    fixed_point,
    groups,
    low_bit_papers,
    minifloat,
    mx,
    none,
    shifted,
    weight,
)
from qat.quantizers.resolve.roles import role_of

#: In the order of the documentation.
FAMILIES = (
    weight,
    activation,
    bias,
    accumulators,
    shifted,
    fixed_point,
    decoupled,
    batch,
    dynamic,
    groups,
    binary_ternary,
    binary_papers,
    low_bit_papers,
    minifloat,
    mx,
    none,
)


def ready_made_names() -> list[str]:
    """Names of all ready-made quantizers, in alphabetical order."""
    return sorted(_by_name())


def ready_made_quantizers() -> list[type[ExtendedInjector]]:
    """All ready-made quantizers, family by family."""
    return list(_by_name().values())


def ready_made(name: str) -> type[ExtendedInjector]:
    """The ready-made quantizer of that name; ValueError names the nearest where there is none."""
    known = _by_name()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(
            f"there is no ready-made quantizer {name!r}{hint} All: {', '.join(ready_made_names())}."
        )
    return known[name]


@functools.cache
def _by_name() -> dict[str, type[ExtendedInjector]]:
    return {
        name: item
        for module in FAMILIES
        for name, item in vars(module).items()
        if is_ready_made(item, module.__name__)
    }


def is_ready_made(item: Any, module: str) -> bool:
    """Whether ``item`` is a quantizer that ``module`` declares, and that is whole.

    Groups of attributes have no role; minifloats of any width lack theirs.
    """
    if not isinstance(item, type(ExtendedInjector)) or item.__module__ != module:
        return False
    if item.__name__.startswith("_") or role_of(item) is None:
        return False
    return "bit_width" in item or item.quant_type is QuantType.FP
