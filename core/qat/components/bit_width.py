"""Bit widths: fixed, learned, or those left of an input's."""

import numbers
from typing import Optional

import torch
from torch import Tensor, nn

from qat.components.buffers import scalar
from qat.components.restrict import IntRestrictValue
from qat.enums import BitWidthImplType
from qat.ops import abs_binary_sign_grad, scalar_clamp_ste

LARGEST_BIT_WIDTH = 32
#: A grid of one bit has no step to learn from: it is a binary quantizer's.
MIN_BIT_WIDTH = 2


def check_bit_width(bit_width: float) -> None:
    """Raise ValueError unless ``bit_width`` is a whole number from 1 to 32."""
    is_number = isinstance(bit_width, numbers.Real) and not isinstance(bit_width, bool)
    is_in_range = is_number and 1 <= bit_width <= LARGEST_BIT_WIDTH
    if not is_in_range or bit_width != int(bit_width):
        raise ValueError(
            f"bit_width is {bit_width!r}; it must be a whole number from 1 to {LARGEST_BIT_WIDTH}."
        )


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


class BitWidthStatefulConst(nn.Module):
    """A fixed bit width that belongs to the state dict, as the buffer ``bit_width``.

    Loading a state dict sets it. Calling it returns it as a 0-dimensional float tensor.

    Args:
        bit_width: whole number, 1 to 32.
    Raises:
        ValueError: outside that range.
    """

    bit_width: Tensor

    def __init__(self, bit_width: int) -> None:
        super().__init__()
        check_bit_width(bit_width)
        self.register_buffer("bit_width", torch.tensor(float(bit_width)))

    def forward(self) -> Tensor:
        return self.bit_width.detach()


class BitWidthParameter(nn.Module):
    """A learned bit width ``clamp(restrict(min_bit_width + |bit_width_offset|), ..., 32)``.

    The parameter ``bit_width_offset`` is 0-dimensional and starts at ``bit_width -
    min_bit_width``. Calling it returns the bit width as a 0-dimensional float tensor.

    Args:
        bit_width: where it starts; whole number, ``min_bit_width`` to 32.
        min_bit_width: the least it may become; whole number from 1.
        restrict_bit_width_impl: ``IntRestrictValue()`` unless given: to the nearest whole number.
    Raises:
        ValueError: a bit width outside its range.
    Gradient: straight through the restriction and the bound; through the absolute value the sign
        of ``bit_width_offset``, that of 0 being +1.

    >>> BitWidthParameter(4)().item()
    4.0
    """

    def __init__(
        self,
        bit_width: int,
        min_bit_width: int = MIN_BIT_WIDTH,
        restrict_bit_width_impl: Optional[nn.Module] = None,
    ) -> None:
        super().__init__()
        check_bit_width(bit_width)
        check_bit_width(min_bit_width)
        if bit_width < min_bit_width:
            raise ValueError(
                f"bit_width is {bit_width} but a learned one must start from min_bit_width, "
                f"{min_bit_width}; raise the one or lower the other."
            )
        given = restrict_bit_width_impl
        self.restrict_bit_width_impl = IntRestrictValue() if given is None else given
        self.min_bit_width = float(min_bit_width)
        self.max_bit_width = float(LARGEST_BIT_WIDTH)
        self.bit_width_offset = nn.Parameter(torch.tensor(float(bit_width - min_bit_width)))

    def forward(self) -> Tensor:
        learned = abs_binary_sign_grad(self.bit_width_offset) + self.min_bit_width
        restricted = self.restrict_bit_width_impl(learned)
        return scalar_clamp_ste(restricted, self.min_bit_width, self.max_bit_width)


class MsbClampBitWidth(nn.Module):
    """What is left of a bit width when the most significant bits are taken away.

    ``clamp(|input_bit_width - bits_to_remove|, min_overall_bit_width, max_overall_bit_width)``;
    called with the input's bit width.

    Args:
        bit_width_to_remove_impl: called without argument, gives the bits to remove.
        min_overall_bit_width, max_overall_bit_width: whole numbers, 1 to 32, in order.
    Raises:
        ValueError: bounds outside that range or in the wrong order.
    Gradient: straight through the clamp.
    """

    def __init__(
        self,
        bit_width_to_remove_impl: nn.Module,
        min_overall_bit_width: int,
        max_overall_bit_width: int,
    ) -> None:
        super().__init__()
        check_bit_width(min_overall_bit_width)
        check_bit_width(max_overall_bit_width)
        if min_overall_bit_width > max_overall_bit_width:
            raise ValueError(
                f"min_overall_bit_width is {min_overall_bit_width}, above "
                f"max_overall_bit_width, {max_overall_bit_width}; exchange them."
            )
        self.bit_width_to_remove_impl = bit_width_to_remove_impl
        self.min_overall_bit_width = float(min_overall_bit_width)
        self.max_overall_bit_width = float(max_overall_bit_width)

    def forward(self, input_bit_width: Tensor) -> Tensor:
        left = torch.abs(input_bit_width - self.bit_width_to_remove_impl())
        return scalar_clamp_ste(left, self.min_overall_bit_width, self.max_overall_bit_width)


class RemoveBitwidthParameter(nn.Module):
    """A learned number of bits to remove, ``1 / (non_zero_epsilon + |bit_width_coeff|)``.

    The parameter ``bit_width_coeff`` is 0-dimensional. The number is real: it is
    :class:`MsbClampBitWidth` or what follows it that makes whole bits.

    Args:
        bit_width_to_remove: where it starts, from 0.
        non_zero_epsilon: keeps the number finite.
        remove_zero_bit_width: what a start at 0 is replaced by, since no coefficient gives 0.
    Raises:
        ValueError: ``bit_width_to_remove`` below 0.
    Gradient: that of the formula, the sign of 0 being +1.
    """

    def __init__(
        self,
        bit_width_to_remove: int,
        non_zero_epsilon: float = 1e-6,
        remove_zero_bit_width: float = 0.1,
    ) -> None:
        super().__init__()
        if bit_width_to_remove < 0:
            raise ValueError(
                f"bit_width_to_remove is {bit_width_to_remove}; it must be at least 0."
            )
        start = bit_width_to_remove if bit_width_to_remove > 0 else remove_zero_bit_width
        self.non_zero_epsilon = float(non_zero_epsilon)
        self.bit_width_coeff = nn.Parameter(torch.tensor(1.0 / start))

    def forward(self) -> Tensor:
        return 1.0 / (self.non_zero_epsilon + abs_binary_sign_grad(self.bit_width_coeff))


class RemoveBitwidthConst(nn.Module):
    """A fixed number of bits to remove; calling it returns it as a 0-dimensional float tensor.

    Args:
        bit_width_to_remove: whole number, 0 to 31.
    Raises:
        ValueError: outside that range.
    """

    def __init__(self, bit_width_to_remove: int) -> None:
        super().__init__()
        if bit_width_to_remove not in range(LARGEST_BIT_WIDTH):
            raise ValueError(
                f"bit_width_to_remove is {bit_width_to_remove!r}; it must be a whole number from 0 "
                f"to {LARGEST_BIT_WIDTH - 1}."
            )
        self.bit_width_to_remove = scalar(bit_width_to_remove)

    def forward(self) -> Tensor:
        return self.bit_width_to_remove()


BIT_WIDTH = {
    BitWidthImplType.CONST: BitWidthConst,
    BitWidthImplType.STATEFUL_CONST: BitWidthStatefulConst,
    BitWidthImplType.PARAMETER: BitWidthParameter,
}
BIT_WIDTH_TO_REMOVE = {
    BitWidthImplType.CONST: RemoveBitwidthConst,
    BitWidthImplType.PARAMETER: RemoveBitwidthParameter,
}
