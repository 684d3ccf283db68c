"""Resolver of the bit width."""

from typing import Any

from qat.components.bit_width import BIT_WIDTH
from qat.enums import BitWidthImplType, StatsOp, lookup, member
from qat.inject import ExtendedInjector, value

#: Bits of grids that have one magnitude: binary and ternary ones.
FEW_LEVELS = 2


class BitWidthResolver(ExtendedInjector):
    """Attributes ``bit_width`` and ``bit_width_impl_type``; ``min_bit_width`` of a learned one."""

    bit_width_impl_type = BitWidthImplType.CONST

    @value
    def bit_width_impl(bit_width_impl_type: Any) -> Any:
        return lookup(BIT_WIDTH, bit_width_impl_type, "bit_width_impl_type")


def check_narrow_range(narrow_range: bool, bit_width: Any) -> None:
    """Raise ValueError where the grid would hold nothing but 0."""
    if narrow_range and bit_width == 1:
        raise ValueError(
            "bit_width is 1 with narrow_range, a grid that holds only 0; use bit_width 2 or more, "
            "narrow_range False, or a binary quantizer (SignedBinary...)."
        )


def is_learned(bit_width_impl_type: Any) -> bool:
    """Whether this choice, by enum or name, is a learned bit width."""
    return member(BitWidthImplType, bit_width_impl_type) is BitWidthImplType.PARAMETER


def with_bit_width(injector: Any, bit_width: int) -> dict[str, Any]:
    """What to change in a declaration so that its quantizer has ``bit_width`` bits.

    One that is binary (``wider_class``) becomes the symmetric integer quantizer of the same
    granularity on more bits. Where binary and ternary quantizers have ``s``, the mean magnitude, a
    grid of more levels has the largest at its end.

    Raises:
        ValueError: the declaration has no bit width of its own, or learns it.
    """
    name = injector.__name__
    if "bit_width" not in injector or getattr(injector, "float_format", None) is not None:
        raise ValueError(f"{name} has no bit width to set; choose an integer quantizer.")
    if is_learned(injector.bit_width_impl_type):
        raise ValueError(f"{name} learns its bit width; it cannot be set from outside as well.")
    changes: dict[str, Any] = {"bit_width": bit_width}
    declared = injector.bit_width
    if bit_width <= declared or declared > FEW_LEVELS:
        return changes
    if "wider_class" in injector:
        changes |= {"tensor_quant": injector.wider_class, "narrow_range": True}
    if "scaling_stats_op" in injector:
        if member(StatsOp, injector.scaling_stats_op) is StatsOp.AVE:
            changes["scaling_stats_op"] = StatsOp.MAX
    return changes
