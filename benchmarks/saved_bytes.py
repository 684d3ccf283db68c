"""Bytes that a 4-bit activation quantizer saves for its backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks import torch_fake_quantize
from benchmarks.activation import ENDLESS, quant_relu
from benchmarks.rows import Row
from benchmarks.script import Options, run

SIZES = (1 << 16, 1 << 20)  # elements


def saved_bytes(function: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Bytes of all storages that autograd keeps of one ``function(x)``, each counted once."""
    storages: dict[int, int] = {}
    kept: list[Any] = []  # a freed storage's address could come again

    def pack(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        kept.append(storage)
        storages[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        result = function(x)
    del result
    return sum(storages.values())


def saved_per_element(function: Callable[[Tensor], Tensor], device: torch.device) -> float:
    """Bytes that one more element costs.

    A difference of two sizes: what does not grow with the input (scale, bounds) is left out.
    """
    small, large = (
        saved_bytes(function, torch.randn(size, device=device, requires_grad=True))
        for size in SIZES
    )
    return (large - small) / (SIZES[1] - SIZES[0])


def measure(options: Options) -> list[Row]:
    """Two rows: after the statistics phase, and in it."""
    others = {"relu": saved_per_element(torch.relu, options.device)}
    if torch_fake_quantize.is_available():
        scale, zero_point = torch_fake_quantize.learned_grid((1,), options.device)
        others["torch"] = saved_per_element(
            lambda x: torch_fake_quantize.per_tensor(torch.relu(x), scale, zero_point, 0, 15),
            options.device,
        )
    rows = []
    for phase, steps in (("learned scale", 1), ("statistics phase", ENDLESS)):
        quantizer = quant_relu(steps, options.device)
        for _ in range(2):  # out of a statistics phase of one step
            quantizer(torch.randn(SIZES[0], device=options.device))
        figure = saved_per_element(quantizer, options.device)
        name = f"saved for backward per float32 element, {phase}"
        rows.append(Row(name, 4.0, figure, unit="bytes", others=others))
    return rows


if __name__ == "__main__":
    run(measure, __doc__ or "")
