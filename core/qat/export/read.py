"""From a quantized model to the integers of its parameters.

The only file of :mod:`qat.export` that knows proxies.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from qat.export.program import FloatPart, IntParameter
from qat.formats import IntFormat
from qat.nn.modes import evaluating
from qat.proxy import WeightQuantProxyFromInjector

Found = IntParameter | FloatPart


def read_weights(model: nn.Module) -> list[Found]:
    """The weights of ``model`` in their integers, as evaluation computes with them.

    Args:
        model: with the layers of :mod:`qat.nn`; it stays as it is.
    Returns:
        For every weight that has a quantizer, in the order of ``named_modules``, its integers, or
        why there are none. A weight that several layers share is there once, by its first name.

    >>> from qat.nn import QuantLinear
    >>> weight = read_weights(QuantLinear(4, 2, bias=False, weight_bit_width=4))[0]
    >>> weight.name, weight.format.name, tuple(weight.integers.shape)
    ('weight', 'int4', (2, 4))
    """
    seen: set[int] = set()
    found: list[Found] = []
    for name, weight, proxy in _quantized_weights(model):
        if id(weight) not in seen:
            seen.add(id(weight))
            found.append(_weight(name, weight, proxy))
    return found


def _quantized_weights(
    model: nn.Module,
) -> Iterator[tuple[str, Tensor, WeightQuantProxyFromInjector]]:
    for name, layer in model.named_modules():
        proxy, weight = getattr(layer, "weight_quant", None), getattr(layer, "weight", None)
        if isinstance(proxy, WeightQuantProxyFromInjector) and isinstance(weight, Tensor):
            if proxy.is_quant_enabled:
                yield f"{name}.weight".lstrip("."), weight, proxy


def _weight(name: str, weight: Tensor, proxy: WeightQuantProxyFromInjector) -> Found:
    format, granularity = proxy.format, proxy.granularity
    if not isinstance(format, IntFormat):
        return FloatPart(name, "its numbers are minifloats, not integers")
    if granularity is None:
        return FloatPart(name, "its quantizer has no scale of its own")
    with evaluating(proxy), torch.no_grad():
        quantized = proxy(weight)
    if not quantized.is_valid:
        return FloatPart(name, "its values are not on one grid of integers")
    scale, zero_point = quantized.scale.detach(), quantized.zero_point.detach()
    return IntParameter(name, quantized.int(), format, scale, zero_point, granularity)
