"""Ranges of activations, measured on a few images: calibration."""

from __future__ import annotations

import torch
from torch import nn

from qat.proxy import ActQuantProxyFromInjector
from qat.ptq.calibration import calibration_mode
from qat.ptq.step import Images, Progress, StepReport


@torch.no_grad()
def measure_ranges(model: nn.Module, images: Images, progress: Progress) -> StepReport:
    """Fix the learned scales of all activation quantizers from the average of their statistics.

    The model computes in float meanwhile, see :func:`calibration_mode`. The report has the scale
    of each quantizer of activations, or the range of them where it has one for each channel.
    """
    done = 0
    with calibration_mode(model):
        for batch in images:
            model(batch)
            done += len(batch)
            progress(done)
    return StepReport("ranges", done, _scales(model))


def _scales(model: nn.Module) -> dict[str, str]:
    found = {}
    for name, proxy in model.named_modules():
        if isinstance(proxy, ActQuantProxyFromInjector) and proxy.is_quant_enabled:
            scale = proxy.scale()
            if scale is not None:
                least, most = float(scale.min()), float(scale.max())
                found[name] = f"scale {least:.4g}" + (f" to {most:.4g}" if most > least else "")
    return found
