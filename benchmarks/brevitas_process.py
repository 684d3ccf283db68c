"""The process that measures Brevitas; :mod:`benchmarks.brevitas` starts it.

It must not import qat, which needs another release of ``dependencies``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.measure import Work, forward_backward, interleaved, ratio

SHAPE = (64, 16, 32, 32)
BIT_WIDTH = 4
WARMUP, ROUNDS, CALLS = 4, 30, 2  # half of what qat gets: an orientation, not a goal


def activation(device: torch.device) -> dict[str, Work]:
    """ReLU against the quantized one, after its statistics phase and in it."""
    from brevitas.nn import QuantReLU
    from brevitas.quant import Uint8ActPerTensorFloat

    x, gradient = _input(device)

    def candidate(collect_stats_steps: int) -> Work:
        layer = QuantReLU(
            act_quant=Uint8ActPerTensorFloat,
            bit_width=BIT_WIDTH,
            collect_stats_steps=collect_stats_steps,
        ).to(device)
        return forward_backward(layer.train(), x, gradient, layer.parameters())

    return {
        "float": forward_backward(torch.relu, x, gradient),
        "learned": candidate(1),
        "collecting": candidate(10**9),
    }


def binary_activation(device: torch.device) -> dict[str, Work]:
    """ReLU against the clipped sign with a constant scale."""
    from brevitas.nn import QuantIdentity
    from brevitas.quant import SignedBinaryActPerTensorConst

    x, gradient = _input(device)
    layer = QuantIdentity(act_quant=SignedBinaryActPerTensorConst).to(device).train()
    return {
        "float": forward_backward(torch.relu, x, gradient),
        "binary": forward_backward(layer, x, gradient),
    }


def weight(device: torch.device) -> dict[str, Work]:
    """A multiplication against 4-bit quantizers with a scale per channel."""
    from brevitas.nn import QuantConv2d
    from brevitas.quant import Int8WeightPerChannelFloat, Int8WeightPerChannelFloatMSE

    parameter = torch.nn.Conv2d(256, 256, 3, device=device).weight
    gradient = torch.randn_like(parameter)

    def candidate(quantizer: Any) -> Work:
        layer = QuantConv2d(256, 256, 3, weight_quant=quantizer, weight_bit_width=BIT_WIDTH)
        layer = layer.to(device)
        return forward_backward(
            lambda w: layer.weight_quant(w).value,
            layer.weight,
            gradient,
            layer.weight_quant.parameters(),
        )

    return {
        "float": forward_backward(lambda w: w * 0.5, parameter, gradient),
        "learned": candidate(Int8WeightPerChannelFloatMSE),
        "statistics": candidate(Int8WeightPerChannelFloat),
    }


WORK: dict[str, Callable[[torch.device], dict[str, Work]]] = {
    work.__name__: work for work in (activation, binary_activation, weight)
}


def _input(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(SHAPE, device=device, requires_grad=True)
    return x, torch.randn(SHAPE, device=device)


def main() -> None:
    """Print the median ratio of every candidate to ``float`` as one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=WORK)
    parser.add_argument("device", type=torch.device)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    candidates = WORK[arguments.work](arguments.device)
    rounds = ROUNDS // 5 if arguments.quick else ROUNDS
    times = interleaved(candidates, rounds, WARMUP, CALLS, arguments.device)
    reference = times.pop("float")
    print(json.dumps({name: ratio(t, reference).median for name, t in times.items()}))


if __name__ == "__main__":
    main()
