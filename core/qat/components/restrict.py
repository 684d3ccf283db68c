"""Restrictions of scales and other numbers to floats, integers, powers of two.

A restriction has two directions. ``forward`` maps the stored number to the one that is used;
``preprocess()`` is a module for the way back, from a wanted number to the one to store.
"""

from typing import Optional

import torch
from torch import Tensor, nn

from qat.components.rounding import RoundSte
from qat.enums import RestrictValueType
from qat.ops import binary_sign, float_step, scalar_clamp_min_ste, smallest_normal


class _LogTwo(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log2(scalar_clamp_min_ste(x, smallest_normal(x)))


class FloatRestrictValue(nn.Module):
    """Any positive float: stored as it is, used without its sign."""

    def preprocess(self) -> nn.Module:
        return nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x


class SignedFloatRestrictValue(nn.Module):
    """Any float but 0: stored as it is, used with its sign.

    A negative scale mirrors the grid: a signed one then reaches further up than down. With the
    statistic ``signed_max`` the element of the largest magnitude, whatever its sign, gets the end
    of the grid that reaches furthest.
    """

    def preprocess(self) -> nn.Module:
        return nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x


class LogFloatRestrictValue(nn.Module):
    """A positive float ``2 ** x``, stored and learned as its base-2 logarithm."""

    def preprocess(self) -> nn.Module:
        return _LogTwo()

    def forward(self, x: Tensor) -> Tensor:
        return torch.pow(2.0, x)


class _Rounded(nn.Module):
    def __init__(self, restrict_value_float_to_int_impl: Optional[nn.Module] = None) -> None:
        super().__init__()
        given = restrict_value_float_to_int_impl
        self.float_to_int_impl = RoundSte() if given is None else given


class IntRestrictValue(_Rounded):
    """A whole number ``float_to_int(x)``; stored as it is.

    Args:
        restrict_value_float_to_int_impl: ``RoundSte()``, to the nearest, unless given.
    """

    def preprocess(self) -> nn.Module:
        return nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.float_to_int_impl(x)


class PowerOfTwoRestrictValue(_Rounded):
    """A power of two ``2 ** float_to_int(x)``, stored and learned as its base-2 logarithm.

    Args:
        restrict_value_float_to_int_impl: how the exponent becomes an integer; ``RoundSte()`` unless
            given. ``CeilSte()`` never makes a threshold smaller, so nothing new is clipped.
    """

    def preprocess(self) -> nn.Module:
        return _LogTwo()

    def forward(self, x: Tensor) -> Tensor:
        return torch.pow(2.0, self.float_to_int_impl(x))


class FloorPowerOfTwoRestrictValue(nn.Module):
    """The largest power of two that is not above ``|x|``, with the sign of ``x``; stored as it is.

    Exact for every float, where rounding down its logarithm is not: in float32 that of a number
    just below 1024 is 10. Zero, and what is below ``2**-126``, becomes ``2**-126``.

    Gradient: ``y / x``, as of ``2**floor(log2(x))`` with a straight-through ``floor``; 0 at 0.
    Source: OCP Microscaling Formats (MX) Specification 1.0, 2023, section 6.3.
    """

    def preprocess(self) -> nn.Module:
        return nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        known = x.detach()
        wide = known if x.dtype == torch.float64 else known.float()
        y = (float_step(wide, 0, -126) * binary_sign(wide)).to(x.dtype)
        slope = torch.where(known == 0.0, torch.zeros_like(y), y / known)
        return y + (x - known) * slope


RESTRICT = {
    RestrictValueType.FP: FloatRestrictValue,
    RestrictValueType.SIGNED_FP: SignedFloatRestrictValue,
    RestrictValueType.LOG_FP: LogFloatRestrictValue,
    RestrictValueType.INT: IntRestrictValue,
    RestrictValueType.POWER_OF_TWO: PowerOfTwoRestrictValue,
}
