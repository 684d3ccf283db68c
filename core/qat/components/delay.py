"""Quantization that starts after a number of training steps."""

import torch
from torch import Tensor, nn


class _NoDelay(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return y


class _DelayQuant(nn.Module):
    steps_left: Tensor

    def __init__(self, quant_delay_steps: int) -> None:
        super().__init__()
        # In the state dict, so that a resumed run waits for as long as an uninterrupted one.
        self.register_buffer("steps_left", torch.tensor(quant_delay_steps, dtype=torch.int64))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        out = torch.where(self.steps_left > 0, x, y)
        if self.training:
            self.steps_left.copy_(torch.clamp(self.steps_left - 1, min=0))
        return out


class DelayWrapper(nn.Module):
    """Called ``(x, y)``: ``x`` for the first ``quant_delay_steps`` training steps, then ``y``.

    Args:
        quant_delay_steps: number of training-mode calls to wait; 0 or less waits for none.
            Calls in evaluation mode do not count and give what training would give next.
    """

    def __init__(self, quant_delay_steps: int) -> None:
        super().__init__()
        self.waits = quant_delay_steps is not None and quant_delay_steps > 0
        self.delay_impl = _DelayQuant(quant_delay_steps) if self.waits else _NoDelay()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.delay_impl(x, y)
