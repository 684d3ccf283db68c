"""Rounding modules: a real number to an integer, with a straight-through gradient.

By the number alone, by chance, or by a learned number for each weight.
"""

import torch
from torch import Tensor, nn

from qat.enums import FloatToIntImplType, LearnedRoundImplType
from qat.ops import (
    ceil_ste,
    dpu_round_ste,
    floor_ste,
    round_ste,
    round_to_zero_ste,
    scalar_clamp_ste,
)


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


class StochasticRoundSte(nn.Module):
    """Up with the probability ``x - floor(x)``, else down; gradient of the identity.

    The mean over many calls is ``x``. The chances are drawn from torch's own generator of the
    device, so that ``torch.manual_seed`` repeats them and a resumed run goes on with them.

    Args:
        deterministic_inference: in evaluation round to the nearest integer, halves to even, in
            place of drawing.
    Source: Gupta et al. 2015, arXiv:1502.02551.
    """

    def __init__(self, deterministic_inference: bool = True) -> None:
        super().__init__()
        self.deterministic_inference = deterministic_inference

    def is_random(self) -> bool:
        """Whether the next call draws."""
        return self.training or not self.deterministic_inference

    def forward(self, x: Tensor) -> Tensor:
        if not self.is_random():
            return round_ste(x)
        fraction = x.detach() - torch.floor(x.detach())
        # Half types hold too few numbers between 0 and 1 to draw small chances from.
        draw = torch.rand_like(fraction, dtype=torch.float32)
        return floor_ste(x) + (draw < fraction).to(x.dtype)


class LearnedRoundHardSigmoid(nn.Module):
    """``floor(x) + h(p)`` with ``h(p) = clamp(sigmoid(p) * (zeta - gamma) + gamma, 0, 1)``.

    In evaluation up where ``h(p) > 0.5``, else down: an integer.

    Args:
        learned_round_zeta, learned_round_gamma: how far the sigmoid is stretched beyond 1 and 0, so
            that it reaches both; ``zeta`` from 1, ``gamma`` up to 0.
    Raises:
        ValueError: a stretch that does not reach 0 and 1.
    Gradient: to ``x`` that of the identity; to ``p`` that of ``h`` in training, none in evaluation.
    Source: AdaRound, Nagel et al. 2020, arXiv:2004.10568.
    """

    def __init__(self, learned_round_zeta: float = 1.1, learned_round_gamma: float = -0.1) -> None:
        super().__init__()
        if learned_round_zeta < 1.0 or learned_round_gamma > 0.0:
            raise ValueError(
                f"learned_round_zeta is {learned_round_zeta} and learned_round_gamma "
                f"{learned_round_gamma}; they must be at least 1 and at most 0."
            )
        self.zeta = float(learned_round_zeta)
        self.gamma = float(learned_round_gamma)

    def forward(self, x: Tensor, p: Tensor) -> Tensor:
        stretched = torch.sigmoid(p) * (self.zeta - self.gamma) + self.gamma
        if self.training:
            return floor_ste(x) + torch.clamp(stretched, 0.0, 1.0)
        return floor_ste(x) + (stretched > 0.5).to(x.dtype)


class LearnedRoundSigmoid(nn.Module):
    """``floor(x) + sigmoid(p / temperature)``; in evaluation up where ``p > 0``, else down.

    Args:
        learned_round_temperature: above 0; the lower, the nearer to 0 and 1.
    Raises:
        ValueError: a temperature that is not above 0.
    Gradient: to ``x`` that of the identity; to ``p`` that of the formula in training, none in
        evaluation.
    """

    def __init__(self, learned_round_temperature: float = 1.0) -> None:
        super().__init__()
        if not learned_round_temperature > 0.0:
            raise ValueError(
                f"learned_round_temperature is {learned_round_temperature}; it must be above 0."
            )
        self.temperature = float(learned_round_temperature)

    def forward(self, x: Tensor, p: Tensor) -> Tensor:
        if self.training:
            return floor_ste(x) + torch.sigmoid(p / self.temperature)
        return floor_ste(x) + (p > 0.0).to(x.dtype)


class LearnedRoundIdentity(nn.Module):
    """``round(x + clamp(p, -0.5, 0.5))``: an integer in training too.

    Gradient: to ``x`` and to ``p`` that of the identity.
    Source: SignRound, Cheng et al. 2023, arXiv:2309.05516.
    """

    def forward(self, x: Tensor, p: Tensor) -> Tensor:
        return round_ste(x + scalar_clamp_ste(p, -0.5, 0.5))


class LearnedRoundSte(nn.Module):
    """Rounding of a weight by the learned parameter ``value``, which has the weight's shape.

    Args:
        learned_round_impl: called ``(x, value)``, rounds.
        learned_round_init: start of ``value``, a float of the weight's shape; copied.
    """

    def __init__(self, learned_round_impl: nn.Module, learned_round_init: Tensor) -> None:
        super().__init__()
        self.learned_round_impl = learned_round_impl
        self.value = nn.Parameter(learned_round_init.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.learned_round_impl(x, self.value)


LEARNED_ROUND = {
    LearnedRoundImplType.HARD_SIGMOID: LearnedRoundHardSigmoid,
    LearnedRoundImplType.SIGMOID: LearnedRoundSigmoid,
    LearnedRoundImplType.IDENTITY: LearnedRoundIdentity,
}
FLOAT_TO_INT = {
    FloatToIntImplType.ROUND: RoundSte,
    FloatToIntImplType.CEIL: CeilSte,
    FloatToIntImplType.FLOOR: FloorSte,
    FloatToIntImplType.ROUND_TO_ZERO: RoundToZeroSte,
    FloatToIntImplType.DPU: DPURoundSte,
    FloatToIntImplType.LEARNED_ROUND: LearnedRoundSte,
    FloatToIntImplType.STOCHASTIC_ROUND: StochasticRoundSte,
}
