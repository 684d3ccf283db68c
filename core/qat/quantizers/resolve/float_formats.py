"""Resolver of the minifloat format."""

from typing import Any

from qat.components.scaling import FloatScaling, PowerOfTwoFloatScaling
from qat.components.stats import FloatSearchGrid, IntSearchGrid
from qat.enums import BitWidthImplType, QuantType, RestrictValueType, StatsOp, lookup, member
from qat.formats import NO_SPECIAL, FloatFormat, standard_bias
from qat.inject import ExtendedInjector, value

FLOAT_SCALING = {
    RestrictValueType.FP: FloatScaling,
    RestrictValueType.LOG_FP: FloatScaling,
    RestrictValueType.INT: FloatScaling,
    RestrictValueType.POWER_OF_TWO: PowerOfTwoFloatScaling,
}
#: Statistics that know integer grids only.
OF_INTEGERS = (StatsOp.HQO, StatsOp.KL)


def is_float(quant_type: Any) -> bool:
    """Whether this arithmetic, by enum or name, is that of minifloats."""
    return member(QuantType, quant_type) is QuantType.FLOAT


class FloatFormatResolver(ExtendedInjector):
    """Attributes of a quantizer whose ``quant_type`` is ``"float"``.

    ``exponent_bit_width``, ``mantissa_bit_width``, ``exponent_bias`` (that of IEEE 754 unless
    given), ``special_values`` (infinity and NaN; none unless given) and ``saturating``. Together
    they are ``float_format``, a :class:`qat.formats.FloatFormat`; None for other quantizers.
    """

    exponent_bit_width: Any = None
    mantissa_bit_width: Any = None
    exponent_bias: Any = None
    exponent_bit_width_impl_type = BitWidthImplType.CONST
    mantissa_bit_width_impl_type = BitWidthImplType.CONST
    special_values = NO_SPECIAL
    saturating = True

    @value
    def float_format(
        quant_type: Any,
        exponent_bit_width: Any,
        mantissa_bit_width: Any,
        exponent_bias: Any,
        special_values: Any,
        exponent_bit_width_impl_type: Any,
        mantissa_bit_width_impl_type: Any,
        bit_width: Any = None,
        signed: Any = True,
        scaling_stats_op: Any = None,
        zero_point_impl_type: Any = None,
    ) -> FloatFormat | None:
        if not is_float(quant_type):
            return None
        if member(StatsOp, scaling_stats_op) in OF_INTEGERS:
            raise NotImplementedError(
                f"scaling_stats_op is {str(scaling_stats_op)!r} and quant_type 'float'; that "
                f"statistic is built for integer grids: use 'mse' or 'max'."
            )
        if zero_point_impl_type is not None:
            raise NotImplementedError(
                f"zero_point_impl_type is {str(zero_point_impl_type)!r} and quant_type 'float'; "
                f"minifloats with a zero point are not built: use None."
            )
        _check_fixed("exponent_bit_width_impl_type", exponent_bit_width_impl_type)
        _check_fixed("mantissa_bit_width_impl_type", mantissa_bit_width_impl_type)
        if exponent_bit_width is None or mantissa_bit_width is None:
            raise ValueError(
                f"quant_type is 'float', but exponent_bit_width is {exponent_bit_width} and "
                f"mantissa_bit_width is {mantissa_bit_width}; give both, 4 and 3 for E4M3."
            )
        if exponent_bias is None:
            exponent_bias = standard_bias(exponent_bit_width)
        made = FloatFormat(
            exponent_bit_width, mantissa_bit_width, exponent_bias, special_values, bool(signed)
        )
        if bit_width is not None and bit_width != made.bit_width:
            raise ValueError(
                f"bit_width is {bit_width}, but {made.name}, with {int(signed)} bit(s) of sign, "
                f"takes {made.bit_width}; change exponent_bit_width or mantissa_bit_width with it."
            )
        return made

    @value
    def search_grid_impl(quant_type: Any) -> Any:
        return FloatSearchGrid if is_float(quant_type) else IntSearchGrid

    @value
    def float_scaling_impl(restrict_scaling_type: Any) -> Any:
        return lookup(FLOAT_SCALING, restrict_scaling_type, "restrict_scaling_type")


def _check_fixed(field: str, word: Any) -> None:
    if member(BitWidthImplType, word) is not BitWidthImplType.CONST:
        raise NotImplementedError(
            f"{field} is {str(word)!r}; learned exponent and mantissa widths are not built: use "
            f"'const'."
        )
