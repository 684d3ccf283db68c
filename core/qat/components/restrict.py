"""Restriction of numbers, scales above all, to a set: floats, whole numbers, powers of two.

A restriction has two directions. ``forward`` maps the stored number to the one that is used;
``preprocess()`` is a module for the way back, from a wanted number to the one to store.
"""

from typing import Optional

import torch
from torch import Tensor, nn

from qat.components.clamp import ScalarClampMinSte
from qat.components.rounding import RoundSte
from qat.enums import RestrictValueType
from qat.ops import binary_sign, float_step, keep_from_zero, scalar_clamp_min_ste, smallest_normal


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


class IntRestrictValue(nn.Module):
    """A whole number ``float_to_int(x)``; stored as it is.

    Args:
        restrict_value_float_to_int_impl: ``RoundSte()``, to the nearest, unless given.
    """

    def __init__(self, restrict_value_float_to_int_impl: Optional[nn.Module] = None) -> None:
        super().__init__()
        given = restrict_value_float_to_int_impl
        self.float_to_int_impl = RoundSte() if given is None else given

    def preprocess(self) -> nn.Module:
        return nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.float_to_int_impl(x)


class PowerOfTwoRestrictValue(nn.Module):
    """A power of two ``2 ** float_to_int(x)``, stored and learned as its base-2 logarithm.

    Args:
        restrict_value_float_to_int_impl: how the exponent becomes an integer; ``RoundSte()`` unless
            given. ``CeilSte()`` never makes a threshold smaller, so nothing new is clipped.
    """

    def __init__(self, restrict_value_float_to_int_impl: Optional[nn.Module] = None) -> None:
        super().__init__()
        given = restrict_value_float_to_int_impl
        self.float_to_int_impl = RoundSte() if given is None else given

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


class _RestrictValue(nn.Module):
    def __init__(self, restrict_value_impl: nn.Module) -> None:
        super().__init__()
        self.restrict_value_impl = restrict_value_impl

    def forward(self, x: Tensor) -> Tensor:
        return self.restrict_value_impl(x)


class _SignedClampMin(nn.Module):
    def __init__(self, min_val: float) -> None:
        super().__init__()
        self.min_val = float(min_val)

    def forward(self, x: Tensor) -> Tensor:
        return keep_from_zero(x, self.min_val)


class _ClampValue(nn.Module):
    def __init__(self, scaling_min_val: Optional[float], keeps_sign: bool = False) -> None:
        super().__init__()
        clamp = _SignedClampMin if keeps_sign else ScalarClampMinSte
        self.clamp_min_ste: nn.Module = (
            nn.Identity() if scaling_min_val is None else clamp(scaling_min_val)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.clamp_min_ste(x)
