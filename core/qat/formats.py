"""Number formats as values: integers and minifloats.

A code of a minifloat with ``e`` exponent bits ``E`` and ``m`` mantissa bits ``M`` stands for

* ``2**(E - bias) * (1 + M / 2**m)`` where ``E > 0`` (normal),
* ``2**(1 - bias) * M / 2**m`` where ``E = 0`` (subnormal, zero among them),

and a sign bit, where there is one, for its sign. Some formats take the largest codes for infinity
and NaN.

Sources: OCP 8-bit Floating Point Specification (OFP8) 1.0, 2023; OCP Microscaling Formats (MX)
Specification 1.0, 2023 (FP6, FP4); Noune et al. 2022, arXiv:2206.02915 (FNUZ).
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class IntFormat:
    """An integer grid; frozen, compared by its fields.

    Args:
        bits: from 1 to 64. A signed grid of one bit is binary: -1 and +1.
        signed: whether one of the bits is a sign.
        narrow: whether a signed grid lacks its most negative integer, and an unsigned one its
            largest.
    Raises:
        ValueError: ``bits`` outside its range.

    >>> IntFormat(4).min_value, IntFormat(4, narrow=True).min_value, IntFormat(4, False).max_value
    (-8, -7, 15)
    """

    bits: int
    signed: bool = True
    narrow: bool = False

    def __post_init__(self) -> None:
        _check_whole("bit_width", self.bits, 1, 64)

    @property
    def bit_width(self) -> int:
        """Bits of a code."""
        return self.bits

    @property
    def is_binary(self) -> bool:
        """Whether the grid is -1 and +1."""
        return self.signed and self.bits == 1

    @property
    def min_value(self) -> int:
        """The lowest integer."""
        if not self.signed:
            return 0
        return -1 if self.is_binary else int(self.narrow) - 2 ** (self.bits - 1)

    @property
    def max_value(self) -> int:
        """The highest integer."""
        if not self.signed:
            return 2**self.bits - 1 - int(self.narrow)
        return 1 if self.is_binary else 2 ** (self.bits - 1) - 1

    @property
    def name(self) -> str:
        """``int4`` or ``uint4``; ``binary`` for -1 and +1."""
        if self.is_binary:
            return "binary"
        return f"{'' if self.signed else 'u'}int{self.bits}"


def standard_bias(exponent_bits: int) -> int:
    """The exponent bias that IEEE 754 gives to that many bits: ``2**(exponent_bits - 1) - 1``."""
    return 2 ** (exponent_bits - 1) - 1


@dataclass(frozen=True)
class SpecialValues:
    """What a format has beside finite numbers.

    Args:
        codes: how many of the largest codes of one sign are no finite numbers.
        infinity: whether the first of them is infinity.
        nan: whether there is a code for NaN, among them or elsewhere (FNUZ: at negative zero).
    """

    codes: int = 0
    infinity: bool = False
    nan: bool = False


@dataclass(frozen=True)
class FloatFormat:
    """A minifloat format; frozen, compared by its fields.

    Args:
        exponent_bits: from 1 to 7.
        mantissa_bits: from 0 to 10.
        bias: of the exponent; see the module docstring.
        special: infinity and NaN; none unless given.
        signed: whether one more bit is the sign.
    Raises:
        ValueError: a number outside its range, or special codes without meaning.

    >>> E4M3_OCP.max_value, E4M3_OCP.smallest_subnormal, E4M3_OCP.bit_width
    (448.0, 0.001953125, 8)
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int
    special: SpecialValues = SpecialValues()
    signed: bool = True

    def __post_init__(self) -> None:
        _check_whole("exponent_bit_width", self.exponent_bits, 1, 7)
        _check_whole("mantissa_bit_width", self.mantissa_bits, 0, 10)
        # Beyond these float32, in which grids are computed, has no normal numbers.
        highest = 2**self.exponent_bits - 1
        _check_whole("exponent_bias", self.bias, highest - 127, 126 - self.mantissa_bits)
        _check_whole("special.codes", self.special.codes, 0, 2**self.mantissa_bits)
        if self.special.codes and self.overflow is None:
            raise ValueError(
                f"special.codes is {self.special.codes}, but there is neither infinity nor NaN; "
                f"say which, or give 0."
            )

    @property
    def bit_width(self) -> int:
        """Bits of a code: sign, exponent and mantissa."""
        return self.exponent_bits + self.mantissa_bits + int(self.signed)

    @property
    def max_value(self) -> float:
        """The largest finite number."""
        return self._magnitude(self._finite_codes - 1)

    @property
    def min_value(self) -> float:
        """The lowest finite number: ``-max_value``, or 0 where there is no sign."""
        return -self.max_value if self.signed else 0.0

    @property
    def max_exponent(self) -> int:
        """``floor(log2(max_value))``."""
        return math.frexp(self.max_value)[1] - 1

    @property
    def min_exponent(self) -> int:
        """Exponent of the smallest normal number, and of all below."""
        return 1 - self.bias

    @property
    def smallest_normal(self) -> float:
        """The smallest number with all its mantissa bits."""
        return 2.0**self.min_exponent

    @property
    def smallest_subnormal(self) -> float:
        """The step of the grid around zero."""
        return 2.0 ** (self.min_exponent - self.mantissa_bits)

    @property
    def overflow(self) -> float | None:
        """What a number beyond the largest becomes unless it saturates; None: there is no code."""
        if self.special.infinity:
            return math.inf
        return math.nan if self.special.nan else None

    def values(self) -> list[float]:
        """All finite numbers of the format, in ascending order, zero once."""
        positive = [self._magnitude(code) for code in range(1, self._finite_codes)]
        negative = [-number for number in reversed(positive)] if self.signed else []
        return [*negative, 0.0, *positive]

    @property
    def name(self) -> str:
        """``E4M3`` for 4 exponent and 3 mantissa bits."""
        return f"E{self.exponent_bits}M{self.mantissa_bits}"

    @property
    def _finite_codes(self) -> int:
        return int(2 ** (self.exponent_bits + self.mantissa_bits)) - self.special.codes

    def _magnitude(self, code: int) -> float:
        exponent, mantissa = divmod(code, 2**self.mantissa_bits)
        if exponent == 0:
            return mantissa * self.smallest_subnormal
        return 2.0 ** (exponent - self.bias) * (1.0 + mantissa / 2**self.mantissa_bits)


def _check_whole(name: str, number: object, low: int, high: int) -> None:
    is_whole = isinstance(number, int) and not isinstance(number, bool)
    if not is_whole or not low <= number <= high:  # type: ignore[operator]
        raise ValueError(
            f"{name} is {number!r}; it must be a whole number from {low} to {high} here."
        )


#: Of a quantized tensor: every value is a number of the format times a scale.
Format = IntFormat | FloatFormat

NO_SPECIAL = SpecialValues()
#: OCP OFP8 by exponent and mantissa bits: one code for NaN; infinity and three, as IEEE 754 has it.
OCP_SPECIAL = {
    (4, 3): SpecialValues(codes=1, nan=True),
    (5, 2): SpecialValues(codes=4, infinity=True, nan=True),
}
#: Finite, NaN at unsigned zero: no code is lost, and the bias is one higher.
FNUZ_SPECIAL = SpecialValues(nan=True)

# Every code a number.
E4M3 = FloatFormat(4, 3, standard_bias(4))
E5M2 = FloatFormat(5, 2, standard_bias(5))
E3M2 = FloatFormat(3, 2, standard_bias(3))
E2M3 = FloatFormat(2, 3, standard_bias(2))
E2M1 = FloatFormat(2, 1, standard_bias(2))
E4M3_OCP = FloatFormat(4, 3, standard_bias(4), OCP_SPECIAL[4, 3])
E5M2_OCP = FloatFormat(5, 2, standard_bias(5), OCP_SPECIAL[5, 2])
E4M3_FNUZ = FloatFormat(4, 3, standard_bias(4) + 1, FNUZ_SPECIAL)
E5M2_FNUZ = FloatFormat(5, 2, standard_bias(5) + 1, FNUZ_SPECIAL)
