"""A pass of calibration over ResNet-20, against a float one.

A pass is what ``qat calibrate`` takes for the ranges of activations
(:func:`qat.ptq.ranges.measure_ranges`), on 512 images: with the statistics that quantizers of
activations have unless told otherwise, and with those of the shipped recipe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from benchmarks.measure import Work, interleaved, ratio
from benchmarks.resnet20 import IMAGE, make_batch, make_model
from benchmarks.rows import Row, timed_row
from benchmarks.script import Options, run

RECIPE = "resnet_w8a8_ptq"
ROUNDS, WARMUP, BATCHES = 10, 1, 8  # 512 images, as many as the recipe takes
GOALS = {"default statistics": 1.25, "MSE search": 3.0}
#: Changes of the recipe.
CHANGES: Mapping[str, Sequence[str]] = {
    "default statistics": (
        "quant.input={quantizer: Int8ActPerTensorFloat}",
        "quant.activation={quantizer: Uint8ActPerTensorFloat}",
        "quant.add={quantizer: Int8ActPerTensorFloat}",
        "quant.rules=[]",
    ),
    "MSE search": (),
}


def measure(options: Options) -> list[Row]:
    """A row per kind of statistics."""
    from qat_cli.engine import keep_freed_memory

    keep_freed_memory()  # as the command does
    torch.manual_seed(0)
    images = [make_batch(options.device)[0] for _ in range(BATCHES)]
    passes = {kind: calibration(make_converted(kind), images) for kind in GOALS}
    passes["float"] = forward(make_model("float").to(options.device).eval(), images)
    times = interleaved(passes, options.rounds(ROUNDS), WARMUP, settling=1, device=options.device)
    return [
        timed_row(
            f"calibration of ResNet-20 / float forward, {kind}",
            goal,
            ratio(times[kind], times["float"]),
            details={"float_seconds": min(times["float"])},
        )
        for kind, goal in GOALS.items()
    ]


def make_converted(kind: str) -> nn.Module:
    """ResNet-20 as the recipe says, with the changes of ``kind``."""
    from qat.graph import quantize_model
    from qat_cli.recipes import graph_rules, load_recipe

    recipe = load_recipe(RECIPE, list(CHANGES[kind]))
    assert recipe.quant is not None
    model = make_model("float").eval()
    return quantize_model(model, graph_rules(recipe.quant), torch.randn(2, *IMAGE)).model


def calibration(model: nn.Module, images: list[Tensor]) -> Work:
    """The ranges of all activations of ``model``, measured on ``images``."""
    from qat.ptq.ranges import measure_ranges

    model.to(images[0].device)

    def work() -> None:
        measure_ranges(model, images, lambda done: None)

    return work


def forward(model: nn.Module, images: list[Tensor]) -> Work:
    """``model`` on ``images``, without gradients."""

    @torch.no_grad()
    def work() -> None:
        for batch in images:
            model(batch)

    return work


if __name__ == "__main__":
    run(measure, __doc__ or "")
