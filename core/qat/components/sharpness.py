"""Sharpness of a sign's estimated gradient, which grows over the training.

It is part of the state dict: a run that is resumed goes on with the one it stopped at.
"""

from typing import Any

import torch
from torch import Tensor, nn

from qat import jit


class ProgressiveSharpness(nn.Module):
    """``t`` of the error decay estimator, growing from 0.1 to 10 over the training.

    ``t = low * (high / low) ** fraction``. It stays at ``low`` until :meth:`set_progress` is
    called; see :func:`set_progress` for a whole model.

    Args:
        low: sharpness at the start, positive: the gradient is nearly that of the identity.
        high: sharpness at the end: the gradient is nearly that of the sign.
    Raises:
        ValueError: a sharpness is not positive.
    Source: IR-Net, arXiv:1909.10788, section 3.3.
    """

    sharpness: Tensor

    def __init__(self, low: float = 0.1, high: float = 10.0) -> None:
        super().__init__()
        if not (low > 0 and high > 0):
            raise ValueError(f"the sharpness goes from {low} to {high}; both must be positive.")
        self.low = float(low)
        self.high = float(high)
        self.register_buffer("sharpness", torch.tensor(self.low))

    @jit.script_method
    def set_progress(self, fraction: float) -> None:
        """Set ``t`` for this share of the training, from 0 to 1."""
        self.sharpness.fill_(self.low * (self.high / self.low) ** fraction)

    def forward(self) -> Tensor:
        return self.sharpness


def set_progress(model: nn.Module, fraction: float) -> int:
    """Tell every quantizer of ``model`` how much of the training is over.

    To be called by the training loop, before each epoch or each step: ``fraction = step / steps``.
    Only quantizers whose gradient changes over the training (IR-Net's) take notice. No compiled
    model is compiled again.

    Args:
        model: any module, compiled, scripted or not.
        fraction: from 0 to 1.
    Returns:
        The number of quantizers told.
    Raises:
        ValueError: ``fraction`` outside its range.
    """
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"fraction is {fraction}; it is a share of the training, from 0 to 1.")
    told = 0
    for module in model.modules():
        if hasattr(module, "sharpness") and hasattr(module, "set_progress"):
            progressive: Any = module
            progressive.set_progress(float(fraction))
            told += 1
    return told
