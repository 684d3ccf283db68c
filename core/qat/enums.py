"""The words of the field as enums, and the one lookup of a choice by its name."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar


class Choice(str, Enum):
    """An enum whose members equal their lower-case name; made from a name in any case."""

    @classmethod
    def _missing_(cls, value: object) -> "Choice | None":
        name = str(value).lower()
        return next((member for member in cls if member.value == name), None)

    def __str__(self) -> str:
        return self.value


class QuantType(Choice):
    """Arithmetic of the quantizer."""

    INT = "int"
    BINARY = "binary"
    TERNARY = "ternary"


class ScalingImplType(Choice):
    """Where the scale comes from."""

    CONST = "const"
    PARAMETER = "parameter"
    PARAMETER_FROM_STATS = "parameter_from_stats"
    STATS = "stats"


class StatsOp(Choice):
    """Statistic of a tensor that a threshold is taken from."""

    MAX = "max"
    AVE = "ave"
    MAX_AVE = "max_ave"
    MAX_L2 = "max_l2"
    PERCENTILE = "percentile"
    MSE = "mse"


class RestrictValueType(Choice):
    """Set that scales are restricted to."""

    FP = "fp"
    LOG_FP = "log_fp"
    POWER_OF_TWO = "power_of_two"


class BitWidthImplType(Choice):
    """Whether the bit width is fixed or learned."""

    CONST = "const"


class FloatToIntImplType(Choice):
    """How a real number becomes an integer."""

    ROUND = "round"
    CEIL = "ceil"
    FLOOR = "floor"
    ROUND_TO_ZERO = "round_to_zero"
    DPU = "dpu"


V = TypeVar("V")
C = TypeVar("C", bound=Choice)


def lookup(table: Mapping[C, V], choice: "C | str", field: str) -> V:
    """The entry of ``table`` for ``choice``, an enum member or its name in any case.

    Raises:
        ValueError: no such choice; the text names ``field`` and the choices there are.
    """
    kind = type(next(iter(table)))
    try:
        return table[kind(choice)]
    except (ValueError, KeyError):
        known = ", ".join(repr(member.value) for member in table)
        raise ValueError(f"{field} is {str(choice)!r}; choose one of {known}.") from None
