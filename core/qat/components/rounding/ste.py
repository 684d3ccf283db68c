"""Rounding that depends on the number alone, with a straight-through gradient."""

from torch import Tensor, nn

from qat.ops import ceil_ste, dpu_round_ste, floor_ste, round_ste, round_to_zero_ste


class RoundSte(nn.Module):
    """To the nearest integer, halves to even; gradient of the identity."""

    def forward(self, x: Tensor) -> Tensor:
        return round_ste(x)


class FloorSte(nn.Module):
    """Down; gradient of the identity."""

    def forward(self, x: Tensor) -> Tensor:
        return floor_ste(x)


class CeilSte(nn.Module):
    """Up; gradient of the identity."""

    def forward(self, x: Tensor) -> Tensor:
        return ceil_ste(x)


class RoundToZeroSte(nn.Module):
    """Towards zero; gradient of the identity."""

    def forward(self, x: Tensor) -> Tensor:
        return round_to_zero_ste(x)


class DPURoundSte(nn.Module):
    """To the nearest integer, halves to even but negative halves up; gradient of the identity."""

    def forward(self, x: Tensor) -> Tensor:
        return dpu_round_ste(x)
