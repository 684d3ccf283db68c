"""Where a number stopped being finite."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def find_non_finite(model: nn.Module, images: Tensor) -> str:
    """Say what is first NaN or infinite when ``images`` go through ``model``.

    Looks at the images, then at the model's own numbers, then at the output of every layer in the
    order in which they run. The model's statistics may change; it is meant for a failed run.
    """
    if not torch.isfinite(images).all():
        return "the images themselves hold numbers that are not finite"
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, Tensor) and tensor.is_floating_point():
            if not torch.isfinite(tensor).all():
                return f"{name!r} holds numbers that are not finite since an earlier step"
    found = _first_non_finite_layer(model, images)
    return found or "every layer's output is finite, only the loss is not"


def _first_non_finite_layer(model: nn.Module, images: Tensor) -> str | None:
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            value = getattr(output, "value", output)  # a QuantTensor has its numbers in there
            if isinstance(value, Tensor) and not torch.isfinite(value).all():
                kind = type(module).__name__
                found.append(f"layer {name!r} ({kind}) is the first whose output is not finite")

        return hook

    handles = [m.register_forward_hook(watch(name)) for name, m in model.named_modules() if name]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
