"""Rounding by chance: right on average."""

import torch
from torch import Tensor, nn

from qat.ops import floor_ste, round_ste


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
