"""Begin and end of the statistics phase of a model's scales.

Works on scripted modules too, which are known by their attributes.
"""

from typing import Any, Dict

import torch
from torch import nn

from qat.torchscript import is_scripted

#: Training calls that no run reaches: collect for as long as the caller wishes.
_WITHOUT_END = 2**62
_SETTINGS = ("collect_stats_steps", "true_average", "collecting")


def collects_statistics(module: nn.Module) -> bool:
    """Whether ``module``, scripted or not, is a scaling that keeps a running average."""
    return hasattr(module, "true_average") and hasattr(module, "counter")


def finish_statistics(model: nn.Module) -> int:
    """Switch off the statistics of every quantizer of ``model`` whose statistics phase is over.

    To be called when the phase should be over: compiled code cannot flip the switch itself, and a
    compiled model whose layers are switched together recompiles once. Eager and scripted quantizers
    have switched by then. Reads each counter, which on a GPU waits for the steps before. A running
    scale (``RuntimeStatsScaling``) has no end and is not counted.

    Args:
        model: any module, compiled, scripted or not.
    Returns:
        The number of quantizers that go on collecting.
    """
    left = 0
    for module in model.modules():
        if collects_statistics(module) and hasattr(module, "collect_stats_steps"):
            scaling: Any = module
            if not scaling.counter.is_meta:
                scaling.collecting = int(scaling.counter) < scaling.collect_stats_steps
            left += int(scaling.collecting)
    return left


def awaits_statistics(module: Any) -> bool:
    """Whether ``module`` is a learned scale that takes statistics in the next training call.

    A running scale (``RuntimeStatsScaling``) takes them without end and is none. On a GPU this
    waits for the steps before only where the quantizer is scripted.
    """
    if not hasattr(module, "collect_stats_steps") or not getattr(module, "collecting", False):
        return False
    if is_scripted(module):
        return int(module.counter) < int(module.collect_stats_steps)
    return bool(module.is_unfinished())


def statistics_left(model: nn.Module) -> int:
    """Training calls until the last statistics phase in ``model`` is over; 0 where all are.

    A running scale (``RuntimeStatsScaling``) has no end and is not counted.
    """
    left = 0
    for module in model.modules():
        if collects_statistics(module) and hasattr(module, "collect_stats_steps"):
            scaling: Any = module
            left = max(left, scaling.collect_stats_steps - int(scaling.counter))
    return left


def hold_statistics(model: nn.Module) -> None:
    """Let every quantizer of ``model`` use the statistics it has, and take no more.

    Until the next ``train()``. A statistics phase that is not over ends with what it has so far.
    """
    for module in model.modules():
        if collects_statistics(module):
            module.eval()
            if hasattr(module, "collect_stats_steps"):
                module.collecting = False  # type: ignore[assignment]


def start_collecting(module: Any) -> Dict[str, Any]:
    """Forget what was collected and average truly until :func:`finish_collecting`.

    Returns:
        The settings to hand to ``finish_collecting``.
    """
    before = {name: getattr(module, name) for name in _SETTINGS if hasattr(module, name)}
    module.true_average = True
    module.collecting = True
    if "collect_stats_steps" in before:
        module.collect_stats_steps = _WITHOUT_END
    module.counter.zero_()
    return before


def finish_collecting(module: Any, before: Dict[str, Any]) -> None:
    """Put the settings back; where anything was seen, the statistics phase is over."""
    for name, setting in before.items():
        setattr(module, name, setting)
    if int(module.counter) > 0 and "collect_stats_steps" in before:
        with torch.no_grad():
            module.value.copy_(module.restrict_preprocess(module.buffer))
        module.counter.fill_(module.collect_stats_steps)
        module.collecting = False
