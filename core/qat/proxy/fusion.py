"""Activation functions that go into the pass of the quantizer behind them."""

from typing import Any

import torch
from torch import Tensor, nn

from qat.components.scaling import attribute, collects_statistics, reads_input
from qat.ops import Bounds

#: Functions ``min(max(x, lo), hi)``, and their bounds.
CLAMPS: dict[type, Any] = {
    nn.ReLU: Bounds(0.0, None),
    nn.ReLU6: Bounds(0.0, 6.0),
    nn.Hardtanh: lambda function: Bounds(float(function.min_val), float(function.max_val)),
}


def fused_arguments(
    function: nn.Module | None, quantizer: Any, x: Tensor
) -> tuple[Bounds, Tensor | None] | None:
    """What ``quantizer`` is called with beside ``x`` to apply ``function`` itself; None: call both.

    Both are called where the function is no clamp or is watched by hooks, where the quantizer has
    parts of its own kind, where its zero point or the gradient of its scale follow from what the
    function gives, and in code that is compiled, which fuses by itself.

    Returns:
        The bounds, and what the function gives where statistics are taken of it.
    """
    bounds = CLAMPS.get(type(function))
    if bounds is None or torch.compiler.is_compiling() or is_watched(function):
        return None
    if not attribute(quantizer, "fuses_activation"):
        return None
    parts = quantizer._modules
    if "zero_point_impl" in parts and reads_input(parts["zero_point_impl"]):
        return None
    if not isinstance(bounds, Bounds):
        bounds = bounds(function)
    scaling = parts["scaling_impl"]
    if not reads_input(scaling):
        return bounds, None
    if collects_statistics(scaling):  # without gradient to x
        return bounds, torch.clamp(x.detach(), *bounds)
    return None


def is_watched(function: Any) -> bool:
    """Whether hooks see the calls of a module, or its gradients."""
    return bool(
        function._forward_hooks
        or function._forward_pre_hooks
        or function._backward_hooks
        or function._backward_pre_hooks
    )


def describe(quantizer: nn.Module) -> str:
    """How ``quantizer`` computes: ``"fused"`` or ``"composed"``."""
    part = getattr(quantizer, "int_quant", quantizer)
    return "fused" if getattr(part, "fused", False) else "composed"
