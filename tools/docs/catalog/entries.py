"""Entries of the catalogue, one per ready-made quantizer."""

import inspect
from dataclasses import dataclass
from typing import Any

from qat.inject import ExtendedInjector
from qat.quantizers.registry import ready_made_quantizers
from qat.quantizers.resolve.roles import role_of
from tools.docs.catalog.arithmetic import NONE, class_name
from tools.docs.catalog.docstrings import behind, first_line, first_sentence, further_paragraphs
from tools.docs.catalog.sample import for_sample
from tools.docs.catalog.wording import format_of, granularity_of, scale_of, zero_point_of


@dataclass(frozen=True)
class Entry:
    """One ready-made quantizer in words.

    Args:
        name: of the class in ``qat.quantizers``.
        family: first line of the module that declares it.
        about: what else that module says.
        role: what it quantizes: weight, activation, bias, ....
        arithmetic: class name of its ``tensor_quant`` (of that of a group, where there are
            groups), see :func:`tools.docs.catalog.arithmetic_of`.
        format: ``8 bit signed narrow``, ``E4M3``, ``binary``, ....
        granularity: what one scale serves.
        scale: where the scale comes from.
        zero_point: where the zero point comes from; ``0`` without one.
        summary: first line of its docstring.
        source: paper or specification, from ``Source:`` in its docstring, its module's, its bases'.
    """

    name: str
    family: str
    about: str
    role: str
    arithmetic: str
    format: str
    granularity: str
    scale: str
    zero_point: str
    summary: str
    source: str


def catalog() -> list[Entry]:
    """One entry per ready-made quantizer, family by family."""
    return [entry(quantizer) for quantizer in ready_made_quantizers()]


def entry(quantizer: type[ExtendedInjector]) -> Entry:
    """What the declaration ``quantizer`` says, in words."""
    bound = for_sample(quantizer)
    arithmetic = class_name(_of_groups(bound.tensor_quant))
    is_there = arithmetic != NONE
    return Entry(
        name=quantizer.__name__,
        family=first_line(inspect.getmodule(quantizer)),
        about=further_paragraphs(inspect.getmodule(quantizer)),
        role=str(role_of(quantizer) or "any"),
        arithmetic=arithmetic,
        format=format_of(bound, arithmetic) if is_there else "as it is",
        granularity=granularity_of(bound) if is_there else "-",
        scale=scale_of(bound) if is_there else "-",
        zero_point=zero_point_of(bound) if is_there else "0",
        summary=first_line(quantizer),
        source=_source(quantizer),
    )


def _of_groups(tensor_quant: Any) -> Any:
    """The quantizer that is applied to each group, or the one given."""
    return getattr(tensor_quant, "group_quant", tensor_quant)


def _source(quantizer: type) -> str:
    own, *bases = quantizer.__mro__
    places = (own, inspect.getmodule(quantizer), *bases)
    return next(filter(None, (first_sentence(behind("Source", each)) for each in places)), "")
