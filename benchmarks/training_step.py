"""A training step of ResNet-20, batch 64, quantized against float."""

from __future__ import annotations

from benchmarks.measure import interleaved, ratio
from benchmarks.resnet20 import TITLES, VARIANTS, WARMUP, make_step
from benchmarks.rows import Row, timed_row
from benchmarks.script import Options, run

ROUNDS = 40
GOALS = {"learned": 1.10, "collecting": 1.25, "binary": 1.10}


def measure(options: Options) -> list[Row]:
    """A row per quantized variant."""
    steps = {variant: make_step(variant, options.device) for variant in VARIANTS}
    rounds = options.rounds(ROUNDS)
    # In training, a step follows one of its own kind.
    times = interleaved(steps, rounds, WARMUP, settling=1, device=options.device)
    details = {"float_seconds": min(times["float"])}
    return [
        timed_row(
            f"ResNet-20 training step / float, {TITLES[variant]}",
            goal,
            ratio(times[variant], times["float"]),
            details=details,
        )
        for variant, goal in GOALS.items()
    ]


if __name__ == "__main__":
    run(measure, __doc__ or "")
