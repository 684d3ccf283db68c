"""Correction of biases for the shift of means by quantization.

Rounded weights and clipped inputs shift the mean of each output channel; the bias can take that
back. Each batch passes twice: once in float, for the means that should be, once quantized, where
each layer's shift is measured with the layers before it corrected already.

Source: Nagel et al. 2019, arXiv:1906.04721, section 4.2 (empirical correction).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from qat.nn.base.weight_layer import QuantWeightLayer
from qat.nn.modes import evaluating
from qat.proxy import QuantProxy
from qat.tensor import unwrap


@contextmanager
def bias_correction_mode(model: nn.Module, enabled: bool = True) -> Iterator[None]:
    """Within the block, each call of ``model`` measures; on leaving, its biases are corrected.

    For every quantized layer with a weight, the mean per output channel of what it gives in float
    is compared with what it gives quantized, averaged over the calls; the difference is added to
    its bias, and a layer without one gets one. Calls give the quantized outputs. Batch norms and
    dropout work as in evaluation. When the block raises, no bias changes; not ``enabled``, the
    block does nothing to the model.

    >>> with torch.no_grad(), bias_correction_mode(model):  # doctest: +SKIP
    ...     for images in batches:
    ...         model(images)

    Args:
        model: quantized, its scales found.
        enabled: whether to do anything.
    """
    if not enabled:
        yield
        return
    correction = _Correction(model)
    with evaluating(model):
        try:
            yield
            correction.apply()
        finally:
            correction.remove()


class _Correction:
    def __init__(self, model: nn.Module) -> None:
        layers = [layer for layer in model.modules() if isinstance(layer, QuantWeightLayer)]
        self._layers = [layer for layer in layers if layer.weight_quant.is_quant_enabled]
        self._proxies = [module for module in model.modules() if isinstance(module, QuantProxy)]
        self._sums: dict[nn.Module, Tensor] = {}
        self._wanted: dict[nn.Module, list[Tensor]] = {}
        self._calls = 0
        self._in_float = False
        self._hooks = [layer.register_forward_hook(self._seen) for layer in self._layers]
        self._hooks.append(model.register_forward_pre_hook(self._float_pass, with_kwargs=True))

    def _float_pass(self, model: nn.Module, args: Any, kwargs: Any) -> None:
        """The same inputs in float first, for the means that should be."""
        if self._in_float:
            return
        before = [(proxy, proxy.disable_quant) for proxy in self._proxies]
        self._wanted, self._in_float = {}, True
        try:
            for proxy in self._proxies:
                proxy.disable_quant = True
            model(*args, **kwargs)
        finally:
            self._in_float = False
            for proxy, was in before:
                proxy.disable_quant = was
        self._calls += 1

    def _seen(self, layer: Any, _args: Any, out: Any) -> Any:
        mean = _mean_per_channel(layer, unwrap(out))
        if self._in_float:
            self._wanted.setdefault(layer, []).append(mean)
            return None
        shift = self._wanted[layer].pop(0) - mean
        self._sums[layer] = self._sums.get(layer, torch.zeros_like(shift)) + shift
        # The layers behind see what they will see once this one is corrected.
        value = unwrap(out)
        return value + shift.to(value.dtype).reshape(layer.channel_shape(len(shift), value.dim()))

    def apply(self) -> None:
        """Add the average shift of each layer to its bias."""
        calls = max(1, self._calls)
        with torch.no_grad():
            for layer, total in self._sums.items():
                shift, bias = total / calls, layer.bias
                if isinstance(bias, Tensor):
                    bias.add_(shift.to(bias.dtype))
                else:
                    weight: Any = layer.weight
                    layer.bias = nn.Parameter(shift.to(weight.dtype))

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()


def _mean_per_channel(layer: Any, out: Tensor) -> Tensor:
    count = layer.weight.shape[layer.output_channel_dim]
    shape = layer.channel_shape(count, out.dim())
    if tuple(shape).count(1) == len(shape) and count > 1:  # groups of a transposed convolution
        count = out.shape[1]
    channel = next((dim for dim, size in enumerate(shape) if size != 1), out.dim() - 1)
    channel += out.dim() - len(shape)
    return out.detach().movedim(channel, 0).flatten(1).float().mean(1)
