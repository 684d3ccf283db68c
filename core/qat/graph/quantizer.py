"""The checked injector of a rule's choice."""

from collections.abc import Mapping

from qat.graph.rules import QuantizerChoice, Role
from qat.inject import ExtendedInjector
from qat.quantizers import ready_made, ready_made_names
from qat.quantizers.resolve.roles import ActResolver, BiasResolver, WeightResolver
from qat.quantizers.resolve.vocabulary import knows, nearest_attribute

_RESOLVER: Mapping[Role, type[ExtendedInjector]] = {
    Role.WEIGHT: WeightResolver,
    Role.BIAS: BiasResolver,
    Role.INPUT: ActResolver,
    Role.OUTPUT: ActResolver,
    Role.ACTIVATION: ActResolver,
    Role.ADD: ActResolver,
}


def injector_for(choice: QuantizerChoice, role: Role) -> type[ExtendedInjector]:
    """The injector that ``choice`` describes.

    Raises:
        ValueError: no such quantizer, one of another role, or an attribute that no quantizer
            knows; the text names the nearest.
    """
    name = str(choice.quantizer)
    quantizer = ready_made(name)
    if not issubclass(quantizer, _RESOLVER[role]):
        fitting = [
            each for each in ready_made_names() if issubclass(ready_made(each), _RESOLVER[role])
        ]
        raise ValueError(
            f"{name} is no {role.value} quantizer; choose one of {', '.join(fitting)}."
        )
    unknown = [key for key in choice.overrides if not knows(quantizer, key)]
    if unknown:
        near = nearest_attribute(quantizer, unknown[0])
        hint = f"; did you mean {near!r}?" if near else "."
        raise ValueError(f"{name} has no attribute {', '.join(map(repr, unknown))}{hint}")
    changed: type[ExtendedInjector] = quantizer.let(**choice.overrides)
    return changed
