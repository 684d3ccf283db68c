"""The integer that a threshold is divided by to give a scale."""

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
    """

    def __init__(self, signed: bool) -> None:
        super().__init__()
        self.signed = signed

    def forward(self, bit_width: Tensor) -> Tensor:
        return torch.pow(2.0, bit_width - float(self.signed))
