"""Post-training calibration: float forward passes that the activation quantizers learn from."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from qat.components.scaling import collects_statistics, finish_collecting, start_collecting
from qat.nn.modes import evaluating
from qat.proxy import ActQuantProxyFromInjector, QuantProxy


@contextmanager
def calibration_mode(model: nn.Module, enabled: bool = True) -> Iterator[None]:
    """Within the block ``model`` computes in float; its activation quantizers collect statistics.

    Each takes the true average of its statistic over the batches of the block; on leaving, its
    learned scale is fixed from that, and the statistics phase of training is over for it. Batch
    norms and dropout work as in evaluation; the modes of all modules are put back. When the block
    raises, the model is left as it was before. Not ``enabled``, the block does nothing to it.

    >>> with torch.no_grad(), calibration_mode(model):  # doctest: +SKIP
    ...     for images in batches:
    ...         model(images)
    """
    if not enabled:
        yield
        return
    proxies = [module for module in model.modules() if isinstance(module, QuantProxy)]
    collectors = _collectors(proxies)
    disabled = [(proxy, proxy.disable_quant) for proxy in proxies]
    snapshots = [_snapshot(collector) for collector in collectors]
    settings: list[dict[str, Any]] = []
    failed = True
    with evaluating(model):
        try:
            for proxy in proxies:
                if isinstance(proxy, ActQuantProxyFromInjector):
                    proxy.is_calibrating = True
                else:
                    proxy.disable_quant = True
            for collector in collectors:
                settings.append(start_collecting(collector))
                collector.train()
            yield
            failed = False
        finally:
            for collector, before in zip(collectors, settings, strict=False):
                finish_collecting(collector, before)
            if failed:
                for collector, snapshot in zip(collectors, snapshots, strict=True):
                    _restore(collector, snapshot)
            for proxy, was_disabled in disabled:
                proxy.disable_quant = was_disabled
                if isinstance(proxy, ActQuantProxyFromInjector):
                    proxy.is_calibrating = False


def _collectors(proxies: list[QuantProxy]) -> list[nn.Module]:
    found: dict[int, nn.Module] = {}
    for proxy in proxies:
        if isinstance(proxy, ActQuantProxyFromInjector) and proxy.is_quant_enabled:
            for module in proxy.modules():
                if collects_statistics(module):
                    found[id(module)] = module
    return list(found.values())


def _snapshot(collector: Any) -> dict[str, Any]:
    tensors = [tensor.detach().clone() for tensor in _tensors(collector)]
    return {"tensors": tensors, "collecting": collector.collecting}


def _restore(collector: Any, snapshot: dict[str, Any]) -> None:
    with torch.no_grad():
        for tensor, before in zip(_tensors(collector), snapshot["tensors"], strict=True):
            tensor.copy_(before)
    collector.collecting = snapshot["collecting"]


def _tensors(collector: nn.Module) -> list[Tensor]:
    return [*collector.parameters(), *collector.buffers()]
