"""Peak memory of a training step of ResNet-20, against float."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from benchmarks.allocations import peak_bytes, peak_resident_bytes
from benchmarks.resnet20 import TITLES, VARIANTS, WARMUP, make_step
from benchmarks.rows import Row
from benchmarks.script import Options, run

GOAL = 1.10


def tensor_peak(variant: str, options: Options) -> int:
    """Most bytes of tensors alive at one time in a step of ``variant``."""
    options.activate()
    return peak_bytes(functools.partial(make_step, variant, options.device), WARMUP, options.device)


def resident_peak(variant: str, options: Options) -> int:
    """Peak resident size of this process after some steps of ``variant``."""
    options.activate()
    step = make_step(variant, options.device)
    for _ in range(WARMUP + 1):
        step()
    return peak_resident_bytes()


def in_fresh_process(
    function: Callable[[str, Options], int], variant: str, options: Options
) -> int:
    """``function(variant, options)`` in a process that has done nothing before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, variant, options).result()


def measure(options: Options) -> list[Row]:
    """A row per quantized variant; the resident sizes are details."""
    peaks = {v: in_fresh_process(tensor_peak, v, options) for v in VARIANTS}
    resident = {v: in_fresh_process(resident_peak, v, options) for v in VARIANTS}
    return [
        Row(
            f"peak memory of that step / float, {title}",
            GOAL,
            peaks[variant] / peaks["float"],
            details={
                "bytes": peaks[variant],
                "float_bytes": peaks["float"],
                "resident_bytes_of_process": resident[variant],
                "float_resident_bytes_of_process": resident["float"],
            },
        )
        for variant, title in TITLES.items()
    ]


if __name__ == "__main__":
    run(measure, __doc__ or "")
