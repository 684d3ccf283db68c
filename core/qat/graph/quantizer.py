"""From a rule's choice to a checked injector."""

import difflib
import functools
import inspect
from collections.abc import Mapping

from qat.components.quant import IntQuant
from qat.components.restrict import RESTRICT
from qat.components.scaling import IntScaling
from qat.components.stats import STATS
from qat.inject import ExtendedInjector
from qat.quantizers import ready_made
from qat.quantizers.activation import ACTIVATION
from qat.quantizers.bias import BIAS
from qat.quantizers.resolvers import TENSOR_QUANT
from qat.quantizers.roles import PARAMETER_SCALING, RUNTIME_SCALING
from qat.quantizers.weight import WEIGHT

from .rules import QuantizerChoice, Role

_OF_ROLE: Mapping[Role, Mapping[str, type[ExtendedInjector]]] = {
    Role.WEIGHT: WEIGHT,
    Role.BIAS: BIAS,
    Role.INPUT: ACTIVATION,
    Role.OUTPUT: ACTIVATION,
    Role.ACTIVATION: ACTIVATION,
    Role.ADD: ACTIVATION,
}
_COMPONENTS = (
    IntQuant,
    IntScaling,
    *RESTRICT.values(),
    *STATS.values(),
    *TENSOR_QUANT.values(),
    *PARAMETER_SCALING.values(),
    *RUNTIME_SCALING.values(),
)


def injector_for(choice: QuantizerChoice, role: Role) -> type[ExtendedInjector]:
    """The injector that ``choice`` describes.

    Raises:
        ValueError: no such quantizer, one of another role, or an attribute that none of its parts
            reads; the text names the nearest.
    """
    name = str(choice.quantizer)
    quantizer = ready_made(name)
    if name not in _OF_ROLE[role]:
        raise ValueError(
            f"{name} is no {role.value} quantizer; choose one of {', '.join(_OF_ROLE[role])}."
        )
    known = _attributes(quantizer)
    unknown = [key for key in choice.overrides if key not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], sorted(known), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"{name} has no attribute {', '.join(map(repr, unknown))}{hint}")
    changed: type[ExtendedInjector] = quantizer.let(**choice.overrides)
    return changed


def _attributes(quantizer: type[ExtendedInjector]) -> set[str]:
    specs = quantizer.__dependencies__.specs
    names = {argument for spec in specs.values() for argument in spec.args} | set(specs)
    names |= _component_arguments()
    return {name for name in names if not name.startswith("_")} - {"self", "args", "kwargs"}


@functools.cache  # asked for at every layer of a model, and always the same
def _component_arguments() -> frozenset[str]:
    return frozenset(
        name
        for component in _COMPONENTS
        for name in inspect.signature(component.__init__).parameters  # type: ignore[misc]
    )
