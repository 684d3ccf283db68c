"""Bit widths."""

import numbers

from torch import Tensor, nn

from .stateless import scalar


def check_bit_width(bit_width: float) -> None:
    """Raise ValueError unless ``bit_width`` is a whole number from 1 to 32."""
    is_number = isinstance(bit_width, numbers.Real) and not isinstance(bit_width, bool)
    if not is_number or not 1 <= bit_width <= 32 or bit_width != int(bit_width):
        raise ValueError(f"bit_width is {bit_width!r}; it must be a whole number from 1 to 32.")


class BitWidthConst(nn.Module):
    """A fixed bit width; calling it returns it as a 0-dimensional float tensor.

    Args:
        bit_width: whole number, 1 to 32.
    Raises:
        ValueError: outside that range.
    """

    def __init__(self, bit_width: int) -> None:
        super().__init__()
        check_bit_width(bit_width)
        self.bit_width = scalar(bit_width)

    def forward(self) -> Tensor:
        return self.bit_width()
