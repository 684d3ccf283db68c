"""Ready-made quantizers with something to quantize."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from qat.quantizers import ready_made
from qat.quantizers.resolve.roles import role_of
from tools.docs.catalog import for_sample


@dataclass(frozen=True)
class Run:
    """A quantizer built for a float64 tensor, called once in training mode, then in evaluation.

    Args:
        x: what was quantized.
        outputs: ``(y, scale, zero_point, bit_width)`` in evaluation.
        quant: the quantizer.
        arguments: what the quantizer is called with behind ``x``.
    """

    x: torch.Tensor
    outputs: tuple[torch.Tensor, ...]
    quant: nn.Module
    arguments: tuple = ()


def arguments_of(name, dtype=torch.float64):
    """What the quantizer is called with behind ``x``: the grid of accumulator or input, a scale."""
    quantizer, scale = ready_made(name), torch.tensor(0.01, dtype=dtype)
    if "accumulator_bit_width" in quantizer:
        return torch.tensor(8.0), True
    if role_of(quantizer) == "truncated accumulator":
        return scale, torch.tensor(0.0, dtype=dtype), torch.tensor(16.0, dtype=dtype), True
    if role_of(quantizer) == "clamped accumulator":
        return scale, torch.tensor(16.0, dtype=dtype)
    is_scaled = "requires_input_scale" in quantizer and quantizer.requires_input_scale
    return (scale,) if is_scaled else ()


def shape_for(injector, columns):
    """``[10, columns]``, with more dimensions where the quantizer is for more."""
    order = "scaling_stats_permute_dims"
    dims = len(getattr(injector, order) or ()) if order in injector else 0
    return (10, columns, *[3] * (dims - 2))


def run(name, dtype=torch.float64, columns=12, **overrides):
    """Build the quantizer ``name`` with ``overrides`` and quantize a seeded tensor."""
    torch.manual_seed(1)
    layer = nn.Linear(columns, 4).to(dtype)
    with torch.no_grad():
        layer.bias.copy_(torch.randn(4))
    quantizer = ready_made(name).let(**overrides)
    injector = for_sample(quantizer, layer)
    if "MinMaxInit" in name:
        injector = injector.let(min_val=-1.5, max_val=1.0)
    if "MaxInit" in name and name.startswith("Uint8"):
        injector = injector.let(max_val=1.5)
    x = torch.randn(shape_for(injector, columns)).to(dtype)
    role = role_of(quantizer)
    if role in ("weight", "bias"):
        x = getattr(layer, role)
    quant = injector.tensor_quant.to(dtype)
    arguments = arguments_of(name, dtype)
    quant(x, *arguments)
    return Run(x, quant.eval()(x, *arguments), quant, arguments)


@pytest.fixture
def quantized():
    return run


@pytest.fixture
def further_arguments():
    return arguments_of


@pytest.fixture
def activation_shape():
    return shape_for
