"""Attributes of a quantizer in words: format, granularity, scale, zero point.

Each function takes a quantizer that is bound to a sample (:mod:`.sample`) and has a
``tensor_quant``. What is no choice by name is described by the docstring of the part.
"""

import re
from collections.abc import Callable
from typing import Any

from qat.enums import RestrictValueType, Role, ScalingPerOutputType, StatsOp, lookup, member
from qat.formats import FNUZ_SPECIAL
from qat.quantizers.resolve.roles import role_of
from tools.docs.catalog.docstrings import first_line
from tools.docs.catalog.sample import word

STATISTICS: dict[StatsOp, str] = {
    StatsOp.MAX: "max |{x}|",
    StatsOp.AVE: "mean |{x}|",
    StatsOp.MAX_AVE: "the mean of the channels' max |{x}|",
    StatsOp.MAX_L2: "the root mean square of the channels' max |{x}|",
    StatsOp.PERCENTILE: "the {high_percentile_q}th percentile of |{x}|",
    StatsOp.MEAN_SIGMA_STD: "mean |{x}| plus {sigma} standard deviations",
    StatsOp.MEAN_LEARN_SIGMA_STD: "mean |{x}| plus a learned number of standard deviations",
    StatsOp.KL: "the threshold of least divergence",
    StatsOp.MSE: "the threshold of least squared error",
    StatsOp.HQO: "a half-quadratic search",
    StatsOp.MIN_MAX: "max {x} - min {x}",
    StatsOp.PERCENTILE_INTERVAL: (
        "the {low_percentile_q}th to the {high_percentile_q}th percentile of {x}"
    ),
    StatsOp.SIGNED_MAX: "the {x} of largest magnitude, with its sign",
}
#: By the class of ``scaling_impl``; others are described by their docstring.
SCALINGS = {
    "ConstScaling": "constant {start}",
    "ParameterScaling": "learned from {start} on",
    "StatsFromParameterScaling": "{statistic}, recomputed",
    "ParameterFromStatsFromParameterScaling": "learned from {statistic} on",
    "RuntimeStatsScaling": "{statistic} of the batch; running average in evaluation",
    "ParameterFromRuntimeStatsScaling": (
        "learned from {statistic} of the first {collect_stats_steps} batches on"
    ),
    "AffineStatsScaling": "learned multiple of {statistic}; of its running average in evaluation",
    "RuntimeDynamicStatsScaling": "{statistic} of the tensor at hand",
    "RuntimeDynamicRowStatsScaling": "{statistic} of the row at hand",
}
#: The lower end of the interval that a grid with a zero point begins at.
LOWER_ENDS: dict[StatsOp, str] = {
    StatsOp.MIN_MAX: "min {x}",
    StatsOp.PERCENTILE_INTERVAL: "the {low_percentile_q}th percentile of {x}",
    StatsOp.MSE: "the least squared error",
    StatsOp.HQO: "a half-quadratic search",
}
#: By the class of ``zero_point_impl``; others are described by their docstring.
ZERO_POINTS = {
    "ZeroZeroPoint": "0",
    "ParameterZeroPoint": "learned",
    "StatsFromParameterZeroPoint": "from {lower_end}, recomputed",
    "ParameterFromStatsFromParameterZeroPoint": "learned from {lower_end} on",
    "ParameterFromRuntimeZeroPoint": (
        "learned from {lower_end} of the first {collect_stats_steps} batches on"
    ),
    "RuntimeDynamicZeroPoint": "from {lower_end} of the tensor at hand",
}
RESTRICTIONS = {
    RestrictValueType.FP: "",
    RestrictValueType.SIGNED_FP: "signed; ",
    RestrictValueType.LOG_FP: "kept as its logarithm; ",
    RestrictValueType.INT: "an integer; ",
    RestrictValueType.POWER_OF_TWO: "power of two; ",
}
GRANULARITIES = {
    ScalingPerOutputType.TENSOR: "tensor",
    ScalingPerOutputType.CHANNEL: "channel",
    ScalingPerOutputType.GROUP: "group of {group_size}",
    ScalingPerOutputType.ROW: "row",
}
SYMBOLS: dict[Role | None, str] = {Role.WEIGHT: "w", Role.BIAS: "b"}
BOUNDS = "max(|min_val|, |max_val|)"


def format_of(bound: Any, arithmetic: str) -> str:
    """``8 bit signed narrow``, ``E4M3``, ``binary``, .... ``arithmetic`` is a class name."""
    known = (words for part, words in FORMATS.items() if part in arithmetic)
    return next(known, _integer_format)(bound)


def _integer_format(bound: Any) -> str:
    signed = word(bound, "signed")
    sign = "" if signed is None else " signed" if signed else " unsigned"
    return f"{bound.bit_width} bit{sign}{' narrow' if word(bound, 'narrow_range') else ''}"


def _float_format(bound: Any) -> str:
    made = bound.float_format
    variant = "" if made.overflow is None else " FNUZ" if made.special == FNUZ_SPECIAL else " OCP"
    return f"{made.name}{variant}, up to {made.max_value:g}"


FORMATS: dict[str, Callable[[Any], str]] = {
    "Binary": lambda bound: "binary",
    "Ternary": lambda bound: "ternary",
    "Float": _float_format,
}


def granularity_of(bound: Any) -> str:
    """What one scale serves."""
    choice = word(bound, "scaling_per_output", ScalingPerOutputType.TENSOR)
    words = lookup(GRANULARITIES, choice, "scaling_per_output_type")
    return words.format(group_size=word(bound, "group_size"))


def scale_of(bound: Any) -> str:
    """Where the scale comes from."""
    role = role_of(bound)
    if role in SCALES_OF_ACCUMULATORS:
        return SCALES_OF_ACCUMULATORS[role](bound)
    if word(bound, "requires_input_scale"):
        return "that of the accumulator: input scale times weight scale"
    if "scaling_impl" not in bound.resolve_with_reads("tensor_quant")[1]:
        return "part of the formula"
    words = SCALINGS.get(type(bound.scaling_impl).__name__)
    if words is None:
        return _phrase(type(bound.scaling_impl))
    return _restriction(bound) + words.format(
        statistic=_statistic(bound),
        start=_start(bound) if "{start}" in words else "",
        collect_stats_steps=word(bound, "collect_stats_steps"),
    )


SCALES_OF_ACCUMULATORS: dict[Role | None, Callable[[Any], str]] = {
    Role.TRUNCATED_ACCUMULATOR: lambda bound: (
        f"that of the accumulator * t, t = {_phrase(type(bound.trunc_scaling_impl))}"
    ),
    Role.CLAMPED_ACCUMULATOR: lambda bound: "that of the accumulator",
}


def _phrase(part: type) -> str:
    """First line of its docstring, to go on a sentence with."""
    text = first_line(part)
    return text[:1].lower() + text[1:]


def _restriction(bound: Any) -> str:
    choice = word(bound, "restrict_scaling_type", RestrictValueType.FP)
    return lookup(RESTRICTIONS, choice, "restrict_scaling_type")


def _start(bound: Any) -> str:
    if word(bound, "scaling_const") is None and word(bound, "max_val") is not None:
        return BOUNDS
    return f"{bound.scaling_init:g}"


def _statistic(bound: Any) -> str:
    choice = word(bound, "scaling_stats_op")
    if choice is None:
        return ""
    op = member(StatsOp, choice)
    if op is None:  # of the reader's own
        return _phrase(type(bound.scaling_stats_impl))
    return _filled(STATISTICS[op], bound)


def _filled(words: str, bound: Any) -> str:
    found = {name: word(bound, name) for name in re.findall(r"\{(\w+)\}", words) if name != "x"}
    is_prepared = word(bound, "prepare_impl") is not None
    symbol = "v" if is_prepared else SYMBOLS.get(role_of(bound), "x")
    return words.format(x=symbol, **found)


def zero_point_of(bound: Any) -> str:
    """Where the zero point comes from; ``0`` where there is none."""
    if role_of(bound) in SCALES_OF_ACCUMULATORS:
        return "that of the accumulator"
    if "zero_point_impl" not in bound.resolve_with_reads("tensor_quant")[1]:
        return "0"
    part = type(bound.zero_point_impl)
    words = ZERO_POINTS.get(part.__name__)
    if words is None:
        return _phrase(part)
    steps = word(bound, "collect_stats_steps")
    return words.format(lower_end=_lower_end(bound), collect_stats_steps=steps)


def _lower_end(bound: Any) -> str:
    choice = word(bound, "zero_point_stats_op") if word(bound, "zero_point_impl_type") else None
    if choice is None:
        return ""
    return _filled(lookup(LOWER_ENDS, choice, "zero_point_stats_op"), bound)
