"""The optimizer, with a group for each kind of parameter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from qat.proxy import QuantProxy
from qat_cli.engine.step.bit_widths import declared_bits
from qat_cli.engine.step.schedule import Schedule
from qat_cli.recipes.schema import OptimizerConfig

WEIGHTS, LATENT, VECTORS = "weights", "latent weights", "vectors"
SCALES, ZERO_POINTS, BIT_WIDTHS, ROUNDING = "scales", "zero points", "bit widths", "rounding"

#: What quantizers learn is known by a part of its name; the first that fits counts. They learn
#: later than the rest where training begins in float, so no group has both. The rest are latent
#: weights of layers declared binary, of which only the sign is used; other matrices and kernels;
#: and vectors, biases and normalisation, which are not decayed.
NAMED_KINDS: Mapping[str, str] = {
    "bit_width_offset": BIT_WIDTHS,
    "bit_width_coeff": BIT_WIDTHS,
    "zero_point_impl": ZERO_POINTS,
    "scaling": SCALES,
    ".tensor_quant.": ROUNDING,
}


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
    """The optimizer that ``config`` names, over a group for each kind of parameter.

    See :data:`NAMED_KINDS` and what stands there. Every group carries ``peak_lr`` for
    :func:`set_learning_rate`.
    """
    settings = _settings(config)
    groups: dict[str, dict[str, Any]] = {
        kind: {"params": [], "kind": kind, "peak_lr": lr, "weight_decay": decay}
        for kind, (lr, decay) in settings.items()
    }
    latent = {id(weight) for weight in declared_binary_weights(model)}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[_kind(name, parameter, latent)]["params"].append(parameter)
    return OPTIMIZERS[config.name]([group for group in groups.values() if group["params"]], config)


def _settings(config: OptimizerConfig) -> dict[str, tuple[float, float]]:
    """Peak learning rate and decay of each kind."""
    lr, decay, latent_decay = config.lr, config.weight_decay, config.latent_weight_decay
    return {
        WEIGHTS: (lr, decay),
        LATENT: (lr, decay if latent_decay is None else latent_decay),
        VECTORS: (lr, 0.0),
        ZERO_POINTS: (lr, 0.0),
        ROUNDING: (lr, 0.0),
        SCALES: (lr if config.scale_lr is None else config.scale_lr, config.scale_weight_decay),
        BIT_WIDTHS: (
            lr if config.bit_width_lr is None else config.bit_width_lr,
            config.bit_width_weight_decay,
        ),
    }


def _kind(name: str, parameter: nn.Parameter, latent: Collection[int]) -> str:
    for word, kind in NAMED_KINDS.items():
        if word in name:
            return kind
    if id(parameter) in latent:
        return LATENT
    return WEIGHTS if parameter.ndim > 1 else VECTORS


def scale_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Learned scales and zero points of quantizers."""
    found = model.named_parameters()
    return [p for name, p in found if _kind(name, p, ()) in (SCALES, ZERO_POINTS)]


def forget(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> None:
    """Set momentum and the like of ``parameters`` to zero: they go on as from a first step.

    Not dropped: torch's fused SGD wants momentum of all parameters of a group, or of none.
    """
    for parameter in parameters:
        for held in optimizer.state.get(parameter, {}).values():
            if isinstance(held, Tensor):
                held.zero_()


def set_learning_rate(optimizer: Optimizer, schedule: Schedule, step: int) -> None:
    """Give every group its learning rate for ``step`` (0 is the first)."""
    for group in optimizer.param_groups:
        group["lr"] = schedule.lr(step, group["peak_lr"])


@torch.no_grad()
def binary_weights(model: nn.Module) -> list[Tensor]:
    """The latent float weights of layers whose weight quantizer has one bit now."""
    return _weights_where(model, lambda proxy: _is_one(proxy.bit_width()))


def declared_binary_weights(model: nn.Module) -> list[Tensor]:
    """Latent weights of layers declared with one bit, whatever they have now."""
    return _weights_where(model, lambda proxy: _is_one(declared_bits(proxy)))


def _weights_where(model: nn.Module, wanted: Callable[[Any], bool]) -> list[Tensor]:
    found: list[Tensor] = []
    for module in model.modules():
        proxy: Any = getattr(module, "weight_quant", None)
        weight = getattr(module, "weight", None)  # a function's is computed, or a model's own
        if isinstance(proxy, QuantProxy) and isinstance(weight, nn.Parameter):
            if wanted(proxy):
                found.append(weight)
    return found


def _is_one(bit_width: Any) -> bool:
    return bit_width is not None and float(bit_width) == 1


@torch.no_grad()
def clamp_latent(weights: list[Tensor], limit: float | None) -> None:
    """Clamp latent weights to ``[-limit, limit]`` in place; ``None`` leaves them.

    Beyond the limit a latent weight would take many steps to change its sign again.
    """
    if limit is not None and weights:
        torch._foreach_clamp_min_(weights, -limit)
        torch._foreach_clamp_max_(weights, limit)
