"""The format of a grid but for its bits.

Bits are a tensor of their own: they may be learned, or differ from channel to channel. Everything
else about a grid's numbers is known when the quantizer is built, and never lies on a device.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from qat.formats import FloatFormat, Format, IntFormat

MOST_BITS = 64  # of an integer that a tensor can hold


class GridKind(NamedTuple):
    """Sign and kind of a grid's numbers; with bits it is a format.

    A tuple, because compiled code can make one, and no frozen dataclass.

    Args:
        signed: whether the numbers have a sign; None where that is not known.
        narrow: as in :class:`qat.formats.IntFormat`. The quantizer's promise: what is counted with
            (sums, products, what is on the grid) goes by the whole range of the bits.
        float_format: the minifloats that the numbers are; None for integers.
    """

    signed: bool | None = None
    narrow: bool = False
    float_format: FloatFormat | None = None

    def with_bits(self, bit_width: Tensor | float | None) -> Format | None:
        """The format that holds integers of ``bit_width``, or the minifloat format.

        None where sign or bits are not known, or no integer has as many bits.

        Args:
            bit_width: any shape; the widest entry counts. Reads it: not for code that is compiled.
        """
        if self.float_format is not None:
            return self.float_format
        if self.signed is None or bit_width is None:
            return None
        bits = widest(bit_width)
        if not 1 <= bits <= MOST_BITS:
            return None
        return IntFormat(math.ceil(bits), self.signed, self.narrow)

    def with_sign(self, signed: bool | None) -> GridKind:
        """The same with another sign, and the whole range of its bits."""
        return GridKind(signed, False, self.float_format)


UNKNOWN = GridKind()


def widest(bit_width: Tensor | float) -> float:
    """The largest entry; 8 where there is none, and so no element to hold."""
    if not isinstance(bit_width, Tensor):
        return float(bit_width)
    return float(bit_width.detach().max()) if bit_width.numel() else 8.0


def kind_of(format: Format | None, signed: bool | None) -> GridKind:
    """The kind of a format, or of integers with this sign where there is none.

    Raises:
        ValueError: a sign that is not that of the integer format.
    """
    if isinstance(format, IntFormat):
        if signed not in (None, format.signed):
            raise ValueError(
                f"signed is {signed}, but format is {format.name}: leave signed out, or give "
                f"another format."
            )
        return GridKind(format.signed, format.narrow)
    if format is not None and signed is None:
        signed = format.signed
    return GridKind(signed, False, format)
