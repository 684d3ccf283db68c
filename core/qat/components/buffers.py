"""Constants that follow their module but stay out of checkpoints."""

import torch
from torch import Tensor, nn


class StatelessBuffer(nn.Module):
    """A constant that follows its module across devices and dtypes, not into its state dict.

    Calling it returns the tensor without gradient.
    """

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value, persistent=False)

    def forward(self) -> Tensor:
        return self.value.detach()


def scalar(value: float) -> StatelessBuffer:
    """A 0-dimensional float constant."""
    return StatelessBuffer(torch.tensor(float(value)))
