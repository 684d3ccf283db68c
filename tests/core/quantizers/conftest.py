"""Ready-made quantizers with something to quantize."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from qat.quantizers import ready_made


@dataclass(frozen=True)
class Run:
    """A quantizer built for a float64 tensor, called once in training mode, then in evaluation.

    Args:
        x: what was quantized.
        outputs: ``(y, scale, zero_point, bit_width)`` in evaluation.
        quant: the quantizer.
    """

    x: torch.Tensor
    outputs: tuple[torch.Tensor, ...]
    quant: nn.Module


def input_scale(name):
    """The accumulator's scale for a bias quantizer that needs one, as further arguments."""
    return (torch.tensor(0.01, dtype=torch.float64),) if name in SCALED_BY_INPUT else ()


SCALED_BY_INPUT = ("Int8Bias", "Int16Bias", "Int32Bias")


def run(name, dtype=torch.float64, **overrides):
    """Build the quantizer ``name`` with ``overrides`` and quantize a seeded tensor."""
    torch.manual_seed(1)
    layer = nn.Linear(12, 4).to(dtype)
    with torch.no_grad():
        layer.bias.copy_(torch.randn(4))
    injector = ready_made(name).let(module=layer, **overrides)
    if "MinMaxInit" in name:
        injector = injector.let(min_val=-1.5, max_val=1.0)
    if "MaxInit" in name and name.startswith("Uint8"):
        injector = injector.let(max_val=1.5)
    x = torch.randn(10, 5).to(dtype)
    if "Weight" in name:
        x = layer.weight
    if "Bias" in name:
        x = layer.bias
    quant = injector.tensor_quant.to(dtype)
    scale = tuple(item.to(dtype) for item in input_scale(name))
    quant(x, *scale)
    return Run(x, quant.eval()(x, *scale), quant)


@pytest.fixture
def quantized():
    return run
