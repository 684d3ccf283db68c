"""A 4-bit activation quantizer, forward and backward, against ``torch.relu``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks import brevitas, torch_fake_quantize
from benchmarks.measure import forward_backward, interleaved, ratio
from benchmarks.rows import Row, timed_row
from benchmarks.script import Options, run

SHAPE = (64, 16, 32, 32)  # activations of the first stage of a ResNet-20, batch 64
BIT_WIDTH = 4
ENDLESS = 10**9  # steps of a statistics phase that outlasts the measurement
WARMUP, ROUNDS, CALLS = 4, 60, 5


def quant_relu(collect_stats_steps: int, device: torch.device) -> Any:
    """A quantized ReLU in training mode, as a user makes one."""
    from qat.nn import QuantReLU
    from qat.quantizers import Uint8ActPerTensorFloat

    layer = QuantReLU(
        act_quant=Uint8ActPerTensorFloat,
        bit_width=BIT_WIDTH,
        collect_stats_steps=collect_stats_steps,
    )
    return layer.to(device).train()


def measure(options: Options) -> list[Row]:
    """Two rows: after the statistics phase, and in it."""
    x = torch.randn(SHAPE, device=options.device, requires_grad=True)
    gradient = torch.randn(SHAPE, device=options.device)
    # One step of statistics: the warm-up leaves that phase behind.
    learned, collecting = (quant_relu(steps, options.device) for steps in (1, ENDLESS))
    candidates = {
        "relu": forward_backward(torch.relu, x, gradient),
        "learned": forward_backward(learned, x, gradient, learned.parameters()),
        "collecting": forward_backward(collecting, x, gradient, collecting.parameters()),
    }
    if torch_fake_quantize.is_available():
        scale, zero_point = torch_fake_quantize.learned_grid((1,), options.device)

        def fake_quantize(x: Tensor) -> Tensor:
            positive = torch.relu(x)
            return torch_fake_quantize.per_tensor(positive, scale, zero_point, 0, 15)

        candidates["torch"] = forward_backward(fake_quantize, x, gradient, [scale, zero_point])
    times = interleaved(candidates, options.rounds(ROUNDS), WARMUP, CALLS, options.device)
    ratios = {name: ratio(seconds, times["relu"]) for name, seconds in times.items()}
    public = brevitas.ratios("activation", options)
    torch_column = {"torch": ratios["torch"].median} if "torch" in ratios else {}
    name = "activation quantizer / torch.relu"
    details = {"shape": SHAPE, "relu_seconds": min(times["relu"])}
    return [
        timed_row(
            f"{name}, learned scale",
            1.3,
            ratios["learned"],
            others={**torch_column, **brevitas.column(public, "learned")},
            details=details,
        ),
        timed_row(
            f"{name}, statistics phase",
            3.0,
            ratios["collecting"],
            others=brevitas.column(public, "collecting"),
            details=details,
        ),
    ]


if __name__ == "__main__":
    run(measure, __doc__ or "")
