"""Words of the field as enums, and the lookup of a choice."""

import difflib
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar


class Choice(str, Enum):
    """An enum whose members equal their lower-case name; made from a name in any case."""

    @classmethod
    def _missing_(cls, value: object) -> "Choice | None":
        name = str(value).lower()
        return next((member for member in cls if member.value == name), None)

    def __str__(self) -> str:
        return self.value


class Role(Choice):
    """Kind of tensor that a quantizer is made for."""

    WEIGHT = "weight"
    ACTIVATION = "activation"
    BIAS = "bias"
    TRUNCATED_ACCUMULATOR = "truncated accumulator"
    CLAMPED_ACCUMULATOR = "clamped accumulator"


class Site(Choice):
    """Place in a model where a quantizer sits."""

    WEIGHT = "weight"
    BIAS = "bias"
    INPUT = "input"
    OUTPUT = "output"
    ACTIVATION = "activation"
    ADD = "add"

    @property
    def role(self) -> Role:
        """The kind of tensor that is quantized here."""
        return ROLE_AT.get(self, Role.ACTIVATION)


#: Sites whose quantizers are not those of activations.
ROLE_AT = {Site.WEIGHT: Role.WEIGHT, Site.BIAS: Role.BIAS}


class QuantType(Choice):
    """Arithmetic of the quantizer."""

    INT = "int"
    BINARY = "binary"
    TERNARY = "ternary"
    FLOAT = "float"  # minifloat: a few exponent and mantissa bits
    FP = "fp"  # none: the tensor passes as it is


class ScalingImplType(Choice):
    """Where the scale comes from."""

    CONST = "const"
    HE = "he"
    PARAMETER = "parameter"
    PARAMETER_FROM_STATS = "parameter_from_stats"
    STATS = "stats"
    AFFINE_STATS = "affine_stats"
    DYNAMIC = "dynamic"  # of the tensor at hand, in training and in evaluation


class ScalingPerOutputType(Choice):
    """Granularity: what one scale serves."""

    TENSOR = "tensor"
    CHANNEL = "channel"
    GROUP = "group"  # ``group_size`` neighbours along ``group_dim``
    ROW = "row"  # all elements along the last dimension


class StatsOp(Choice):
    """Statistic of a tensor that a threshold is taken from."""

    MAX = "max"
    AVE = "ave"
    MAX_AVE = "max_ave"
    MAX_L2 = "max_l2"
    PERCENTILE = "percentile"
    MEAN_SIGMA_STD = "mean_sigma_std"
    MEAN_LEARN_SIGMA_STD = "mean_learn_sigma_std"
    KL = "kl"
    MSE = "mse"
    HQO = "hqo"
    # of both sides, for quantizers with a zero point
    MIN_MAX = "min_max"
    PERCENTILE_INTERVAL = "percentile_interval"
    SIGNED_MAX = "signed_max"


class RestrictValueType(Choice):
    """Set that scales are restricted to."""

    FP = "fp"
    SIGNED_FP = "signed_fp"
    LOG_FP = "log_fp"
    INT = "int"
    POWER_OF_TWO = "power_of_two"


class BitWidthImplType(Choice):
    """Whether the bit width is fixed or learned."""

    CONST = "const"
    STATEFUL_CONST = "stateful_const"  # fixed, and part of the state dict
    PARAMETER = "parameter"


class FloatToIntImplType(Choice):
    """How a real number becomes an integer."""

    ROUND = "round"
    CEIL = "ceil"
    FLOOR = "floor"
    ROUND_TO_ZERO = "round_to_zero"
    DPU = "dpu"
    LEARNED_ROUND = "learned_round"
    STOCHASTIC_ROUND = "stochastic_round"


class LearnedRoundImplType(Choice):
    """How a learned number becomes the choice between rounding down and up."""

    HARD_SIGMOID = "hard_sigmoid"
    SIGMOID = "sigmoid"
    IDENTITY = "identity"


class TruncScalingImplType(Choice):
    """Which bits of an accumulator a truncation keeps."""

    MSB = "msb"
    WRAPPER = "wrapper"


class SignGradient(Choice):
    """Estimate of the gradient of ``sign``, see :func:`qat.ops.estimated_binary_quantize`."""

    STRAIGHT = "straight"
    CLIP = "clip"
    APPROX_SIGN = "approx_sign"
    EDE = "ede"
    XNOR = "xnor"


V = TypeVar("V")
C = TypeVar("C", bound=Choice)


def choice(kind: type[C], word: object, field: str) -> C:
    """The member of ``kind`` that ``word`` names, in any case; a member is returned as it is.

    Words become members here, where an attribute is read; behind it they are compared with ``is``.

    Raises:
        ValueError: no such choice; the text names ``field``, the choices, and the nearest.

    >>> choice(StatsOp, "MSE", "scaling_stats_op") is StatsOp.MSE
    True
    """
    if isinstance(word, kind):
        return word
    return lookup({member: member for member in kind}, str(word), field)


def member(kind: type[C], word: object) -> C | None:
    """The member of ``kind`` that ``word`` names, in any case; None where it names none.

    For words that may also be of the reader's own, with a row in a table.

    >>> member(StatsOp, "MSE") is StatsOp.MSE, member(StatsOp, "three_sigma")
    (True, None)
    """
    if isinstance(word, kind):
        return word
    name = str(word).lower()
    return next((each for each in kind if each.value == name), None)


def lookup(table: Mapping[Any, V], choice: Choice | str, field: str) -> V:
    """The entry of ``table`` for ``choice``, an enum member or its name in any case.

    The keys are members of a :class:`Choice`, or plain words in lower case, for a row of the
    reader's own.

    Raises:
        ValueError: no such choice; the text names ``field``, the choices, and the nearest.
    """
    by_name = {str(key): entry for key, entry in table.items()}
    name = str(choice).lower()
    if name in by_name:
        return by_name[name]
    known = ", ".join(map(repr, by_name))
    near = difflib.get_close_matches(name, by_name, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(f"{field} is {str(choice)!r}; choose one of {known}{hint}")
