"""Names that are attributes of quantizers, to tell a misspelt one.

Declarations may hold more than a quantizer reads (``scaling_const`` beside a scale from
statistics), so that one word can be given to many quantizers. A name that no quantizer knows is a
mistake.
"""

import difflib
import functools
import inspect
from typing import Any

from qat import components
from qat.inject import ExtendedInjector
from qat.quantizers.registry import ready_made, ready_made_names

_NO_ATTRIBUTES = frozenset({"self", "args", "kwargs", "injector_is_extended"})
#: Declared, but by a resolver, for good: nobody sets it.
FIXED = frozenset({"role"})


def knows(quantizer: type[ExtendedInjector], name: str) -> bool:
    """Whether ``name`` is declared or read by ``quantizer``, or by any of the library's own."""
    if name in FIXED:
        return False
    return name in quantizer or name in _mentioned_by(quantizer) or name in library_attributes()


def nearest_attribute(quantizer: type[ExtendedInjector], name: str) -> str | None:
    """The attribute that is most probably meant by ``name``, if one is like it."""
    for known in (_mentioned_by(quantizer), library_attributes()):
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
        if near:
            return near[0]
    return None


@functools.cache
def library_attributes() -> frozenset[str]:
    """What the ready-made quantizers declare and read, and the components take."""
    names: set[str] = set()
    for quantizer in ready_made_names():
        names |= _mentioned_by(ready_made(quantizer))
    for component in vars(components).values():
        if isinstance(component, type):
            names |= set(inspect.signature(component.__init__).parameters)  # type: ignore[misc]
    return frozenset(names - _NO_ATTRIBUTES)


def _mentioned_by(quantizer: Any) -> set[str]:
    """Names that ``quantizer`` declares, and the arguments of what it declares."""
    specs = quantizer.__dependencies__.specs
    names = {argument for spec in specs.values() for argument in spec.args} | set(specs)
    return {name for name in names - FIXED if not name.startswith("_")}
