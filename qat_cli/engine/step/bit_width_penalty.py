"""The mean bit width of a model, and the penalty on it.

With ``n_l`` weights of ``b_l`` bits in layer ``l``, and ``m_q`` numbers per image of ``a_q`` bits
through activation quantizer ``q``, the two means are::

    weights     = sum_l n_l b_l / sum_l n_l
    activations = sum_q m_q a_q / sum_q m_q

``n_l`` counts each weight once, which makes the mean that of the stored model, or as often as it is
multiplied for an image. Only what is quantized counts. A penalty of ``p`` adds ``p * (weights +
activations)`` to the loss, of each mean only where some of its widths are learned; its gradient to
a learned width is ``p`` times the share of the layer.

Source: a learned bit width held back by the size of weights and activations: Uhlich et al. 2020,
arXiv:1905.11452, there as a bound on each; weighting by multiplications: van Baalen et al. 2020,
arXiv:2005.07093, section 2.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qat.enums import Role
from qat.nn.modes import evaluating
from qat.proxy import QuantProxy
from qat.tensor import QuantTensor
from qat_cli.engine.step.bit_widths import (
    declared_bits,
    learned_bit_width,
    learns_bit_widths,
    quantizers,
)
from qat_cli.engine.step.objective import LossFunction
from qat_cli.errors import UserError
from qat_cli.recipes.schema import TrainConfig


@dataclass(frozen=True)
class Counted:
    """A quantizer by name, and how often its bits count."""

    name: str
    proxy: QuantProxy
    count: float

    def bits(self) -> Tensor | float | None:
        """The bit width now, a tensor where it is learned; ``None`` while it is off."""
        if not self.proxy.is_quant_enabled:
            return None
        learned = learned_bit_width(self.proxy)
        if learned is not None:
            found: Tensor = learned()
            return found
        return declared_bits(self.proxy)


@dataclass(frozen=True)
class BitCosts:
    """How much the bits of each quantizer count, fixed for a model and the size of its images."""

    weights: list[Counted]
    activations: list[Counted]

    def mean_bits(self) -> dict[str, Tensor | float]:
        """The means now by name, tensors where a part is learned; none where nothing counts."""
        means = {"weight_bits": _mean(self.weights), "activation_bits": _mean(self.activations)}
        return {name: mean for name, mean in means.items() if mean is not None}

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """The means as numbers."""
        return {name: float(mean) for name, mean in self.mean_bits().items()}

    @torch.no_grad()
    def by_quantizer(self) -> dict[str, int]:
        """The bit width of each quantizer, by its name in the model."""
        found = {each.name: each.bits() for each in [*self.weights, *self.activations]}
        return {name: int(bits) for name, bits in found.items() if bits is not None}


@dataclass(frozen=True)
class WithPenalty:
    """An objective plus ``penalty`` times the mean bit widths that are learned."""

    objective: LossFunction
    costs: BitCosts
    penalty: float

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As the objective's own call."""
        loss, logits = self.objective(model, images, labels)
        for mean in self.costs.mean_bits().values():
            if isinstance(mean, Tensor):
                loss = loss + self.penalty * mean
        return loss, logits


def learned_bit_costs(model: nn.Module, image: Tensor, train: TrainConfig) -> BitCosts:
    """:func:`bit_costs` of a model that learns bit widths.

    Raises:
        UserError: it learns none, so that a penalty on them has no effect.
    """
    if learns_bit_widths(model):
        return bit_costs(model, image, train.bit_width_weighting)
    raise UserError(
        "train.bit_width_penalty has nothing to act on, no quantizer learns its bits; set "
        "bit_width_impl_type: parameter on those that shall, e.g. "
        "quant.weight.bit_width_impl_type=parameter"
    )


def bit_costs(model: nn.Module, image: Tensor, weighting: str) -> BitCosts:
    """Count on one image what passes each quantizer of ``model``.

    Args:
        model: quantized; runs once, in evaluation mode.
        image: float [1, C, H, W], on the model's device.
        weighting: ``"size"`` or ``"macs"``, see the module.
    """
    seen: dict[int, int] = {}

    def see(module: Any, inputs: Any, output: Any) -> None:
        value = output.value if isinstance(output, QuantTensor) else output
        seen[id(module)] = seen.get(id(module), 0) + value.numel()

    layers = {
        m.weight_quant: m
        for m in model.modules()
        if hasattr(m, "weight_quant") and hasattr(m, "weight")
    }
    named = list(quantizers(model))
    watched = [layers.get(proxy, proxy) for _, proxy in named]
    handles = [module.register_forward_hook(see) for module in watched]
    try:
        with evaluating(model), torch.no_grad():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    weights, activations = [], []
    for (name, proxy), module in zip(named, watched, strict=True):
        outputs = seen.get(id(module), 0)
        if outputs and proxy in layers:
            weights.append(Counted(name, proxy, COUNTS[weighting](module, outputs)))
        elif outputs and proxy.role is Role.WEIGHT:  # of a function: counted by its size
            weights.append(Counted(name, proxy, float(outputs)))
        elif outputs:
            activations.append(Counted(name, proxy, float(outputs)))
    return BitCosts(weights, activations)


def _size(layer: Any, outputs: int) -> float:
    return float(layer.weight.numel())


def _macs(layer: Any, outputs: int) -> float:
    channels = layer.weight.shape[layer.output_channel_dim]
    return float(outputs * (layer.weight.numel() // channels))


COUNTS: Mapping[str, Callable[[Any, int], float]] = {"size": _size, "macs": _macs}


def _mean(counted: list[Counted]) -> Tensor | float | None:
    found = [(each.bits(), each.count) for each in counted]
    on = [(bits, count) for bits, count in found if bits is not None]
    if not on:
        return None
    return sum(bits * count for bits, count in on) / sum(count for _, count in on)
