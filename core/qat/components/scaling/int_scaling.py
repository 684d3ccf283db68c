"""The integer that a threshold is divided by to give a scale."""

from typing import Optional

import torch
from torch import Tensor, nn

from qat.ops import max_int, min_int


class IntScaling(nn.Module):
    """Called with the bit width: the largest magnitude of the grid.

    Signed: ``-qmin`` (128 for 8 bit, 127 with a narrow range); unsigned: ``qmax`` (255).
    """

    def __init__(self, signed: bool, narrow_range: bool) -> None:
        super().__init__()
        self.signed = signed
        self.narrow_range = narrow_range

    def forward(self, bit_width: Tensor) -> Tensor:
        if self.signed:
            return -min_int(self.signed, self.narrow_range, bit_width)
        return max_int(self.signed, self.narrow_range, bit_width)


class PowerOfTwoIntScaling(nn.Module):
    """Called with the bit width: ``2**(b-1)`` signed, ``2**b`` unsigned.

    With a threshold that is a power of two the scale is one as well.

    Args:
        signed: of the grid; None where each call says it, as those of a truncation do.
    """

    signed: Optional[bool]

    def __init__(self, signed: Optional[bool] = None) -> None:
        super().__init__()
        self.signed = signed

    def forward(self, bit_width: Tensor, signed: Optional[bool] = None) -> Tensor:
        is_signed = self.signed if signed is None else signed
        assert is_signed is not None, "signed is given when this is built, or with the call"
        return torch.pow(2.0, bit_width - float(is_signed))


class ElementIntScaling(nn.Module):
    """Called with the bit width: the largest power of two of the grid, ``2**(b - 2)`` if signed.

    With a threshold rounded down to a power of two this is the shared scale of an MX block, whose
    integers of 8 bits are read as multiples of ``2**-6``; unsigned it is ``2**(b - 1)``.

    Source: OCP Microscaling Formats (MX) Specification 1.0, 2023, sections 5.3.4 and 6.3.
    """

    def __init__(self, signed: bool) -> None:
        super().__init__()
        self.signed = signed

    def forward(self, bit_width: Tensor) -> Tensor:
        return torch.pow(2.0, bit_width - (2.0 if self.signed else 1.0))
