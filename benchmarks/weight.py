"""A 4-bit weight quantizer per channel, against a multiplication."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks import brevitas, torch_fake_quantize
from benchmarks.measure import forward_backward, interleaved, ratio
from benchmarks.rows import Row, timed_row
from benchmarks.script import Options, run

CHANNELS, KERNEL = 256, 3
BIT_WIDTH = 4
WARMUP, ROUNDS, CALLS = 4, 60, 5


def changed(weight: Tensor) -> Tensor:
    """``weight`` with its version moved on, as an optimizer's step does: no cache may answer."""
    weight.detach()[:0].zero_()  # no element, but a change in place to autograd
    return weight


def measure(options: Options) -> list[Row]:
    """Two rows: scales that are learned, scales that follow the largest weight."""
    from qat.nn import QuantConv2d
    from qat.quantizers import Int8WeightPerChannelFloat, Int8WeightPerChannelFloatMSE

    weight = torch.nn.Conv2d(CHANNELS, CHANNELS, KERNEL, device=options.device).weight
    gradient = torch.randn_like(weight)

    def quantized(quantizer: Any) -> Any:
        layer = QuantConv2d(
            CHANNELS, CHANNELS, KERNEL, weight_quant=quantizer, weight_bit_width=BIT_WIDTH
        ).to(options.device)
        return forward_backward(
            lambda w: layer.weight_quant(changed(w)).value,
            layer.weight,
            gradient,
            layer.weight_quant.parameters(),
        )

    candidates = {
        "multiply": forward_backward(lambda w: changed(w) * 0.5, weight, gradient),
        "learned": quantized(Int8WeightPerChannelFloatMSE),
        "statistics": quantized(Int8WeightPerChannelFloat),
    }
    if torch_fake_quantize.is_available():
        scale, zero_point = torch_fake_quantize.learned_grid((CHANNELS,), options.device)
        candidates["torch"] = forward_backward(
            lambda w: torch_fake_quantize.per_channel(changed(w), scale, zero_point, -7, 7),
            weight,
            gradient,
            [scale, zero_point],
        )
    times = interleaved(candidates, options.rounds(ROUNDS), WARMUP, CALLS, options.device)
    ratios = {name: ratio(seconds, times["multiply"]) for name, seconds in times.items()}
    public = brevitas.ratios("weight", options)
    torch_column = {"torch": ratios["torch"].median} if "torch" in ratios else {}
    name = "weight quantizer per channel / multiply"
    details = {"shape": tuple(weight.shape), "multiply_seconds": min(times["multiply"])}
    return [
        timed_row(
            f"{name}, learned scales",
            2.5,
            ratios["learned"],
            others={**torch_column, **brevitas.column(public, "learned")},
            details=details,
        ),
        timed_row(
            f"{name}, scales from max|w|",
            2.5,
            ratios["statistics"],
            others=brevitas.column(public, "statistics"),
            details=details,
        ),
    ]


if __name__ == "__main__":
    run(measure, __doc__ or "")
