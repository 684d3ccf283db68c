"""torch's own learnable fake-quantize, for comparison, where this torch has it.

Its functions are private: a torch without them means a table without this column.
"""

from __future__ import annotations

import torch
from torch import Tensor


def is_available() -> bool:
    """This torch has both functions."""
    return all(
        hasattr(torch, f"_fake_quantize_learnable_per_{what}_affine")
        for what in ("tensor", "channel")
    )


def learned_grid(shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """A scale of 0.1 and a zero point of 0 that take gradients."""
    scale = torch.full(shape, 0.1, device=device, requires_grad=True)
    return scale, torch.zeros(shape, device=device, requires_grad=True)


def per_tensor(x: Tensor, scale: Tensor, zero_point: Tensor, qmin: int, qmax: int) -> Tensor:
    """``x`` quantized on one learned grid; scale and zero point have shape [1]."""
    function = torch._fake_quantize_learnable_per_tensor_affine
    quantized: Tensor = function(x, scale, zero_point, qmin, qmax, 1.0)
    return quantized


def per_channel(x: Tensor, scale: Tensor, zero_point: Tensor, qmin: int, qmax: int) -> Tensor:
    """``x`` [channels, ...] quantized on a learned grid per channel, each of shape [channels]."""
    function = torch._fake_quantize_learnable_per_channel_affine
    quantized: Tensor = function(x, scale, zero_point, 0, qmin, qmax, 1.0)
    return quantized
