"""Restriction of scales: any positive float, a float learned as its logarithm, a power of two.

A restriction has two directions. ``forward`` maps the stored number to the scale that is used;
``preprocess()`` is a module for the way back, from a wanted scale to the number to store.
"""

from typing import Optional

import torch
from torch import Tensor, nn

from qat.enums import RestrictValueType
from qat.ops import scalar_clamp_min_ste, smallest_normal

from .clamp import ScalarClampMinSte
from .rounding import RoundSte


class _LogTwo(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log2(scalar_clamp_min_ste(x, smallest_normal(x)))


class FloatRestrictValue(nn.Module):
    """Any float: stored as it is."""

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


RESTRICT = {
    RestrictValueType.FP: FloatRestrictValue,
    RestrictValueType.LOG_FP: LogFloatRestrictValue,
    RestrictValueType.POWER_OF_TWO: PowerOfTwoRestrictValue,
}


class _RestrictValue(nn.Module):
    def __init__(self, restrict_value_impl: nn.Module) -> None:
        super().__init__()
        self.restrict_value_impl = restrict_value_impl

    def forward(self, x: Tensor) -> Tensor:
        return self.restrict_value_impl(x)


class _ClampValue(nn.Module):
    def __init__(self, scaling_min_val: Optional[float]) -> None:
        super().__init__()
        self.clamp_min_ste: nn.Module = (
            nn.Identity() if scaling_min_val is None else ScalarClampMinSte(scaling_min_val)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.clamp_min_ste(x)
