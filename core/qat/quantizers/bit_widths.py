"""How the attributes of a quantizer name its bit width."""

from typing import Any

from qat.components.bit_width import BIT_WIDTH
from qat.enums import BitWidthImplType, lookup
from qat.inject import ExtendedInjector, value


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
    return str(bit_width_impl_type).lower() == BitWidthImplType.PARAMETER
