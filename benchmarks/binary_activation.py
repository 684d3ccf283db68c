"""A binary activation, forward and backward, against ``torch.relu``."""

from __future__ import annotations

import torch

from benchmarks import brevitas
from benchmarks.activation import CALLS, ROUNDS, SHAPE, WARMUP
from benchmarks.measure import forward_backward, interleaved, ratio
from benchmarks.rows import Row, timed_row
from benchmarks.script import Options, run


def measure(options: Options) -> list[Row]:
    """One row: the clipped sign with a constant scale."""
    from qat.nn import QuantIdentity
    from qat.quantizers import SignedBinaryActPerTensorConst

    x = torch.randn(SHAPE, device=options.device, requires_grad=True)
    gradient = torch.randn(SHAPE, device=options.device)
    binary = QuantIdentity(act_quant=SignedBinaryActPerTensorConst).to(options.device).train()
    candidates = {
        "relu": forward_backward(torch.relu, x, gradient),
        "binary": forward_backward(binary, x, gradient),
    }
    times = interleaved(candidates, options.rounds(ROUNDS), WARMUP, CALLS, options.device)
    return [
        timed_row(
            "binary activation / torch.relu",
            1.3,
            ratio(times["binary"], times["relu"]),
            others=brevitas.column(brevitas.ratios("binary_activation", options), "binary"),
            details={"shape": SHAPE, "relu_seconds": min(times["relu"])},
        )
    ]


if __name__ == "__main__":
    run(measure, __doc__ or "")
