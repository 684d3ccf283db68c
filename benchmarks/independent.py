"""W8A8 by hooks alone, without a look at the graph.

Weights of convolutions and linear layers per output channel, symmetric; their inputs per tensor,
asymmetric, from the smallest and largest value. Nothing of ``qat`` is used.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


@torch.no_grad()
def quantized_by_hooks(model: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """A copy of ``model`` that computes on 8 bit; ranges are those of ``batches``."""
    made = copy.deepcopy(model).eval()
    ranges: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def observe(layer: nn.Module, args: tuple[Any, ...]) -> None:
        low, high = args[0].min().clamp(max=0), args[0].max().clamp(min=0)
        before = ranges.get(layer, (low, high))
        ranges[layer] = torch.minimum(before[0], low), torch.maximum(before[1], high)

    def quantize(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        low, high = ranges[layer]
        scale = ((high - low) / 255).clamp(min=1e-12)
        zero = torch.round(-low / scale)
        q = (torch.round(args[0] / scale) + zero).clamp(0, 255)
        return ((q - zero) * scale, *args[1:])

    layers = [layer for layer in made.modules() if isinstance(layer, LAYERS)]
    hooks = [layer.register_forward_pre_hook(observe) for layer in layers]
    for batch in batches:
        made(batch)
    for hook in hooks:
        hook.remove()
    for layer in ranges:
        weight: Any = layer.weight
        scale = weight.flatten(1).abs().amax(1).clamp(min=1e-12) / 127
        scale = scale.reshape(-1, *[1] * (weight.dim() - 1))
        weight.copy_((weight / scale).round().clamp(-127, 127) * scale)
        layer.register_forward_pre_hook(quantize)
    return made
