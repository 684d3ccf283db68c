"""The checked injector of a rule's choice."""

from qat.enums import Site
from qat.graph.rules import QuantizerChoice
from qat.inject import ExtendedInjector
from qat.quantizers import ready_made, ready_made_names
from qat.quantizers.resolve.roles import role_of
from qat.quantizers.vocabulary import knows, nearest_attribute


def injector_for(choice: QuantizerChoice, site: Site) -> type[ExtendedInjector]:
    """The injector that ``choice`` describes.

    Raises:
        ValueError: no such quantizer, one of another role, or an attribute that no quantizer
            knows; the text names the nearest.
    """
    name = str(choice.quantizer)
    quantizer = ready_made(name)
    if role_of(quantizer) is not site.role:
        known = ready_made_names()
        fitting = [each for each in known if role_of(ready_made(each)) is site.role]
        raise ValueError(f"{name} is no {site} quantizer; choose one of {', '.join(fitting)}.")
    unknown = [key for key in choice.overrides if not knows(quantizer, key)]
    if unknown:
        near = nearest_attribute(quantizer, unknown[0])
        hint = f"; did you mean {near!r}?" if near else "."
        raise ValueError(f"{name} has no attribute {', '.join(map(repr, unknown))}{hint}")
    changed: type[ExtendedInjector] = quantizer.let(**choice.overrides)
    return changed
