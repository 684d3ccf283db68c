"""Layers and start weights of the BNN-PYNQ networks."""

from __future__ import annotations

from torch import nn

#: Of the published networks; torch's own 1e-5 is below the variance of a layer that is all zeros.
BATCH_NORM_EPS = 1e-4


class NormedLinear(nn.Sequential):
    """Linear layer without bias, batch norm, and a hard tanh unless ``last``.

    A bias would be undone by the batch norm. Input [N, inputs]; output [N, outputs].
    """

    def __init__(self, inputs: int, outputs: int, last: bool = False) -> None:
        layers: list[nn.Module] = [
            nn.Linear(inputs, outputs, bias=False),
            nn.BatchNorm1d(outputs, eps=BATCH_NORM_EPS),
        ]
        super().__init__(*layers, *([] if last else [nn.Hardtanh()]))


def start_evenly(model: nn.Module) -> None:
    """Draw every kernel and matrix evenly from [-1, 1], where a sign and a step of 1 divide it."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.uniform_(module.weight, -1.0, 1.0)


def check_positive(**sizes: int) -> None:
    """Refuse sizes below 1, by name.

    Raises:
        ValueError: names the first one.
    """
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; it must be at least 1")
