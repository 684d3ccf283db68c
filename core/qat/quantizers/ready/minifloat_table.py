"""Table of minifloat formats, and what quantizers there are of each.

A row is a format; its columns say which quantizers it has: with a number for every code, in the
variants of the OCP and FNUZ, and with the scales of MX. To add a format is to add a row, and to run
``make docs``, which writes the names down for editors and type checkers.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from qat.formats import FNUZ_SPECIAL, NO_SPECIAL, OCP_SPECIAL, FloatFormat, standard_bias
from qat.inject import ExtendedInjector
from qat.inject.extended_injector import ExtendedInjectorType
from qat.quantizers.ready.mx import MXFloatAct, MXFloatWeight, MXMSEMixin
from qat.quantizers.resolve.float_presets import (
    FloatActBase,
    FloatWeightBase,
    FpFNUZMixin,
    FpOCPMixin,
    PerChannel2d,
    ScaledFloatActBase,
    ScaledFloatActMSEBase,
    ScaledFloatWeightBase,
    ScaledFloatWeightMSEBase,
)
from qat.quantizers.resolve.presets import PerChannel

_FROM_ERROR = "scale learned from the least squared error on"
#: End of a name -> what the quantizer is declared from, behind its format, and its docstring.
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "Weight": ((FloatWeightBase,), "unscaled: up to {top}"),
    "Act": ((FloatActBase,), "unscaled: up to {top}"),
    "WeightPerTensorFloat": (
        (ScaledFloatWeightBase,),
        "per tensor; scale ``max|w| / {top}``, recomputed",
    ),
    "WeightPerChannelFloat": (
        (PerChannel, ScaledFloatWeightBase),
        "per output channel; scale ``max|w| / {top}``, recomputed",
    ),
    "ActPerTensorFloat": (
        (ScaledFloatActBase,),
        "per tensor; scale learned from ``max|x| / {top}`` on",
    ),
    "ActPerChannelFloat2d": (
        (PerChannel2d, ScaledFloatActBase),
        "per channel of [N, C, H, W]; scale learned from ``max|x| / {top}`` on",
    ),
    "WeightPerTensorFloatMSE": ((ScaledFloatWeightMSEBase,), f"per tensor; {_FROM_ERROR}"),
    "WeightPerChannelFloatMSE": (
        (PerChannel, ScaledFloatWeightMSEBase),
        f"per channel; {_FROM_ERROR}",
    ),
    "ActPerTensorFloatMSE": ((ScaledFloatActMSEBase,), f"per tensor; {_FROM_ERROR}"),
    "ActPerChannelFloat2dMSE": (
        (PerChannel2d, ScaledFloatActMSEBase),
        f"per channel; {_FROM_ERROR}",
    ),
}
#: Likewise for MX; ``power`` is the largest power of two of the format.
MX_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "Weight": (
        (MXFloatWeight,),
        "per block of 32; scale ``2**floor(log2 max|w|) / {power}``, recomputed",
    ),
    "Act": (
        (MXFloatAct,),
        "per block of 32; scale ``2**floor(log2 max|x|) / {power}`` of the block",
    ),
    "WeightMSE": (
        (MXMSEMixin, MXFloatWeight),
        "per block of 32; scale a power of two, learned from the least error on",
    ),
}
ALL = tuple(KINDS)
#: A scale per channel of an activation is left to formats of the reader's own.
WITHOUT_2D = tuple(kind for kind in KINDS if "2d" not in kind)
FROM_MAXIMUM = ("WeightPerTensorFloat", "WeightPerChannelFloat", "ActPerTensorFloat")
MX_FROM_MAXIMUM = ("Weight", "Act")


@dataclass(frozen=True)
class Row:
    """A format, and which quantizers there are of it.

    Args:
        exponent_bits, mantissa_bits: beside the sign.
        plain, ocp, fnuz: names in :data:`KINDS`, of each variant.
        mx: names in :data:`MX_KINDS`.
    """

    exponent_bits: int
    mantissa_bits: int
    plain: tuple[str, ...] = FROM_MAXIMUM
    ocp: tuple[str, ...] = ()
    fnuz: tuple[str, ...] = ()
    mx: tuple[str, ...] = MX_FROM_MAXIMUM

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def name(self) -> str:
        """``8e4m3``, as it is in the names of classes."""
        return f"{self.bits}e{self.exponent_bits}m{self.mantissa_bits}"


ROWS = (
    Row(4, 3, plain=ALL, ocp=WITHOUT_2D, fnuz=WITHOUT_2D, mx=tuple(MX_KINDS)),
    Row(5, 2, plain=ALL, ocp=WITHOUT_2D, fnuz=WITHOUT_2D),
    Row(3, 2),
    Row(2, 3),
    Row(2, 1),
)


def _plain(exponent_bits: int, mantissa_bits: int) -> FloatFormat:
    return FloatFormat(exponent_bits, mantissa_bits, standard_bias(exponent_bits))


def _ocp(exponent_bits: int, mantissa_bits: int) -> FloatFormat:
    special = OCP_SPECIAL.get((exponent_bits, mantissa_bits), NO_SPECIAL)
    return FloatFormat(exponent_bits, mantissa_bits, standard_bias(exponent_bits), special)


def _fnuz(exponent_bits: int, mantissa_bits: int) -> FloatFormat:
    bias = standard_bias(exponent_bits) + 1
    return FloatFormat(exponent_bits, mantissa_bits, bias, FNUZ_SPECIAL)


#: Variant -> the attributes that make it, and its format with so many bits.
VARIANTS: dict[str, tuple[type, Callable[[int, int], FloatFormat]]] = {
    "OCP": (FpOCPMixin, _ocp),
    "FNUZ": (FpFNUZMixin, _fnuz),
}


@dataclass(frozen=True)
class Declaration:
    """A class of the table: as a class statement has it."""

    name: str
    bases: tuple[str | type, ...]
    docstring: str
    attributes: dict[str, Any]


def classes(module: str) -> dict[str, type[ExtendedInjector]]:
    """The classes of the table by name, in the order of the documentation.

    Args:
        module: the one that holds them, under their names, so that they can be pickled.
    """
    made: dict[str, Any] = {}
    for each in declarations():
        bases = tuple(made[base] if isinstance(base, str) else base for base in each.bases)
        own = {"__module__": module, "__qualname__": each.name, "__doc__": each.docstring}
        made[each.name] = ExtendedInjectorType(each.name, bases, {**own, **each.attributes})
    return made


def declarations() -> Iterator[Declaration]:
    """What the rows declare; bases of the table itself by name."""
    for row in ROWS:
        yield _attributes_of(row)
    for row in ROWS:
        yield from _family(f"Fp{row.name}", row, "", row.plain, _plain)
    for variant, (mixin, format_of) in VARIANTS.items():
        for kind, (bases, words) in KINDS.items():
            docstring = f"Float, {variant}, {words.format(top='max_value')}."
            yield Declaration(f"Fp{variant}{kind}", (mixin, *bases), docstring, {})
        for row in ROWS:
            kinds = row.ocp if variant == "OCP" else row.fnuz
            yield from _family(f"Fp{row.name}{variant}", row, variant, kinds, format_of)
    for row in ROWS:
        power = f"{2.0 ** _ocp(row.exponent_bits, row.mantissa_bits).max_exponent:g}"
        for kind in row.mx:
            bases, words = MX_KINDS[kind]
            docstring = f"{_format_words(row)}, {words.format(power=power)}."
            own: tuple[str | type, ...] = (f"Fp{row.name}Mixin", *bases)
            yield Declaration(f"MXFloat{row.name}{kind}", own, docstring, {})


def _attributes_of(row: Row) -> Declaration:
    letters = f"E{row.exponent_bits}M{row.mantissa_bits}"
    docstring = f"{letters}: {row.bits} bit, {row.exponent_bits} of them for the exponent."
    attributes = {
        "bit_width": row.bits,
        "exponent_bit_width": row.exponent_bits,
        "mantissa_bit_width": row.mantissa_bits,
    }
    return Declaration(f"Fp{row.name}Mixin", (ExtendedInjector,), docstring, attributes)


def _family(
    name: str,
    row: Row,
    variant: str,
    kinds: Iterable[str],
    format_of: Callable[[int, int], FloatFormat],
) -> Iterator[Declaration]:
    top = f"{format_of(row.exponent_bits, row.mantissa_bits).max_value:g}"
    for kind in kinds:
        bases, words = KINDS[kind]
        docstring = f"{_format_words(row, variant)}, {words.format(top=top)}."
        of_variant: tuple[str | type, ...] = (f"Fp{variant}{kind}",) if variant else bases
        yield Declaration(f"{name}{kind}", (f"Fp{row.name}Mixin", *of_variant), docstring, {})


def _format_words(row: Row, variant: str = "") -> str:
    words = f"{row.bits} bit float E{row.exponent_bits}M{row.mantissa_bits}"
    return f"{words} {variant}" if variant else words
