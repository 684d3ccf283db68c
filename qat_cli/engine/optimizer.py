"""The optimizer with its groups: weights, what is not decayed, learned scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from qat_cli.engine.schedule import Schedule
from qat_cli.recipes.schema import OptimizerConfig


def _sgd(groups: list[dict[str, Any]], config: OptimizerConfig) -> Optimizer:
    # Nesterov without momentum is refused by torch; without momentum it means nothing.
    nesterov = config.nesterov and config.momentum > 0
    return SGD(
        groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov, fused=_can_fuse(groups)
    )


def _can_fuse(groups: list[dict[str, Any]]) -> bool | None:
    """One kernel over all parameters; ``None`` leaves the choice to torch."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    devices = {parameter.device.type for parameter in parameters}
    is_real = all(parameter.is_floating_point() for parameter in parameters)
    return True if is_real and devices <= {"cpu", "cuda"} else None


OPTIMIZERS: Mapping[str, Callable[[list[dict[str, Any]], OptimizerConfig], Optimizer]] = {
    "sgd": _sgd,
    "adam": lambda groups, config: Adam(groups, lr=config.lr, fused=_can_fuse(groups)),
    "adamw": lambda groups, config: AdamW(groups, lr=config.lr, fused=_can_fuse(groups)),
}


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """The optimizer that ``config`` names, over three groups of parameters.

    Matrices and kernels are decayed by ``weight_decay``. Biases and normalisation, which have one
    dimension, are not, nor is what quantizers learn beside scales: zero points, bit widths,
    rounding. Learned scales (``scaling`` in their names) have ``scale_lr`` and
    ``scale_weight_decay``. Every group carries ``peak_lr`` for :func:`set_learning_rate`.
    """
    scales: list[nn.Parameter] = []
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if "scaling" in name:
            scales.append(parameter)
        else:
            is_decayed = parameter.ndim > 1 and ".tensor_quant." not in name
            (matrices if is_decayed else vectors).append(parameter)
    scale_lr = config.lr if config.scale_lr is None else config.scale_lr
    groups: list[dict[str, Any]] = [
        {"params": matrices, "peak_lr": config.lr, "weight_decay": config.weight_decay},
        {"params": vectors, "peak_lr": config.lr, "weight_decay": 0.0},
        {"params": scales, "peak_lr": scale_lr, "weight_decay": config.scale_weight_decay},
    ]
    return OPTIMIZERS[config.name]([group for group in groups if group["params"]], config)


def set_learning_rate(optimizer: Optimizer, schedule: Schedule, step: int) -> None:
    """Give every group its learning rate for ``step`` (0 is the first)."""
    for group in optimizer.param_groups:
        group["lr"] = schedule.lr(step, group["peak_lr"])


def binary_weights(model: nn.Module) -> list[Tensor]:
    """The latent float weights of layers whose weight quantizer has one bit."""
    found: list[Tensor] = []
    for module in model.modules():
        proxy: Any = getattr(module, "weight_quant", None)
        bit_width = proxy.bit_width() if hasattr(proxy, "bit_width") else None
        if (
            bit_width is not None
            and float(bit_width) == 1
            and isinstance(module.weight, nn.Parameter)
        ):
            found.append(module.weight)
    return found


@torch.no_grad()
def clamp_latent(weights: list[Tensor], limit: float | None) -> None:
    """Clamp latent weights to ``[-limit, limit]`` in place; ``None`` leaves them.

    Beyond the limit a latent weight would take many steps to change its sign again.
    """
    if limit is not None and weights:
        torch._foreach_clamp_min_(weights, -limit)
        torch._foreach_clamp_max_(weights, limit)
