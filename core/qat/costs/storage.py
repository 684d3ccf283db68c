"""The bits that a layer's numbers take when they are packed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from qat.costs.table import ScaleRange
from qat.enums import RestrictValueType, choice
from qat.granularity import PerGroup
from qat.proxy import BiasQuantProxyFromInjector, QuantProxy, WeightQuantProxyFromInjector
from qat.proxy.accumulator import AccumulatorQuantProxy

EXPONENT_BITS = 8  # of a scale that is a power of two, as in the MX formats


@dataclass
class Storage:
    """The numbers of one layer, added up.

    Args:
        parameters: how many, without those of quantizers.
        packed_bits: of everything that is kept for inference.
        float_bits: the same without quantizers.
        weights, weight_bits: how many weights there are, and their bits in all.
        scales: of the weight quantizers.
    """

    parameters: int = 0
    packed_bits: float = 0.0
    float_bits: float = 0.0
    weights: int = 0
    weight_bits: float = 0.0
    scales: list[Tensor] = field(default_factory=list)

    @property
    def bits_per_weight(self) -> float | None:
        """On average; ``None`` without weights."""
        return self.weight_bits / self.weights if self.weights else None

    @property
    def scale_range(self) -> ScaleRange | None:
        """Of the weight quantizers; ``None`` without one that has scales of its own."""
        if not self.scales:
            return None
        return ScaleRange(
            sum(scale.numel() for scale in self.scales),
            min(float(scale.min()) for scale in self.scales),
            max(float(scale.max()) for scale in self.scales),
        )

    def add_tensor(self, tensor: Tensor, is_parameter: bool) -> None:
        """Count a float parameter or buffer."""
        bits = _type_bits(tensor)
        self.packed_bits += bits
        self.float_bits += bits
        if is_parameter:
            self.parameters += tensor.numel()
            if tensor.dim() > 1:  # one number per channel is a scale, a bias, a norm
                self.weights += tensor.numel()
                self.weight_bits += bits

    def pack(self, tensor: Tensor, bits: float, is_weight: bool) -> None:
        """Count a tensor that was added as a float with that many bits per element instead."""
        saved = _type_bits(tensor) - tensor.numel() * bits
        self.packed_bits -= saved
        if is_weight and tensor.dim() > 1:
            self.weight_bits -= saved
        elif is_weight:
            self.weights += tensor.numel()
            self.weight_bits += tensor.numel() * bits

    def add_grid(self, proxy: QuantProxy, quantized: Tensor | None) -> None:
        """Count the scales and zero points of a quantizer, where they are its own."""
        scale = proxy.scale()
        if scale is None:
            return
        scale = _one_per_group(proxy, scale.detach(), quantized)
        self.packed_bits += scale.numel() * _scale_bits(proxy, scale)
        if isinstance(proxy, WeightQuantProxyFromInjector):
            self.scales.append(scale)
        zero_point = proxy.zero_point()
        if zero_point is not None and bool(zero_point.ne(0).any()):
            zero_point = _one_per_group(proxy, zero_point.detach(), quantized)
            is_whole = bool(zero_point.eq(zero_point.round()).all())
            each = _bits(proxy) if is_whole else 8 * zero_point.element_size()
            self.packed_bits += zero_point.numel() * each


def add_quantizer(storage: Storage, proxy: QuantProxy, done: set[int]) -> None:
    """Count what ``proxy`` makes of the weights, or biases, of the layers that it serves.

    Args:
        storage: of the layer, its tensors already added as floats.
        proxy: of any role.
        done: ids of weights and biases that another proxy has packed; those of this one are added.
    """
    if not proxy.is_quant_enabled or isinstance(proxy, AccumulatorQuantProxy):
        return  # an accumulator has the grid of its input
    if isinstance(proxy, WeightQuantProxyFromInjector):
        bits = _bits(proxy)
        for weight in _fresh((layer.weight for layer in proxy.tracked_modules), done):
            storage.pack(weight, bits, is_weight=True)
        storage.add_grid(proxy, proxy.tracked_modules[0].weight)  # type: ignore[arg-type]
    elif isinstance(proxy, BiasQuantProxyFromInjector):
        bits = _bits(proxy)
        for bias in _fresh((layer.bias for layer in proxy.tracked_modules), done):
            storage.pack(bias, bits, is_weight=False)
        if proxy.has_own_scale():
            storage.add_grid(proxy, None)
    else:
        storage.add_grid(proxy, None)


def _fresh(tensors: Iterable[Any], done: set[int]) -> list[Tensor]:
    """Those that are not ``done`` yet; layers may share a parameter."""
    found = []
    for tensor in tensors:
        if id(tensor) not in done:
            found.append(tensor)
        if isinstance(tensor, nn.Parameter):  # others are made at each look, of one gate each
            done.add(id(tensor))
    return found


def _one_per_group(proxy: QuantProxy, spread: Tensor, quantized: Tensor | None) -> Tensor:
    is_spread = quantized is not None and spread.shape == quantized.shape and spread.numel() > 1
    groups = proxy.granularity
    if not is_spread or not isinstance(groups, PerGroup):
        return spread.reshape(-1)
    starts = range(0, spread.shape[groups.axis], groups.size)
    return spread.movedim(groups.axis, 0)[list(starts)].reshape(-1)


def _scale_bits(proxy: QuantProxy, scale: Tensor) -> int:
    injector = proxy.quant_injector
    if "restrict_scaling_type" in injector:
        word = injector.restrict_scaling_type
        kind = choice(RestrictValueType, word, "restrict_scaling_type")
        if kind is RestrictValueType.POWER_OF_TWO:
            return EXPONENT_BITS
    return 8 * scale.element_size()


def _type_bits(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size() * 8


def _bits(proxy: QuantProxy) -> int:
    format = proxy.format
    assert format is not None  # a quantizer of weights or biases that is enabled has one
    return format.bit_width
