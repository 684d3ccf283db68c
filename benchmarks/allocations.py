"""The most memory that tensors take at one time.

On a GPU the allocator of torch counts. On a CPU the profiler writes down every allocation, those
inside of operations too, from before the model is built, so that nothing that lives is missed.
Memory that a library takes from the system by itself is not seen; the resident size shows it.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Work, synchronize

MARK = "measured step"


def peak_bytes(build: Callable[[], Work], warmup: int, device: torch.device) -> int:
    """Most bytes alive at one time in the last of ``warmup + 1`` calls of what ``build`` makes."""
    return _peak_on_cuda(build, warmup, device) if device.type == "cuda" else _peak(build, warmup)


def peak_resident_bytes() -> int:
    """The most memory that this process has had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_on_cuda(build: Callable[[], Work], warmup: int, device: torch.device) -> int:
    step = build()
    for _ in range(warmup):
        step()
    synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    step()
    synchronize(device)
    return torch.cuda.max_memory_allocated(device)


def _peak(build: Callable[[], Work], warmup: int) -> int:
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        step = build()
        for _ in range(warmup):
            step()
        with torch.profiler.record_function(MARK):
            step()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(file))
        return peak_of_events(json.loads(file.read_text(encoding="utf-8"))["traceEvents"])


def peak_of_events(events: Iterable[Mapping[str, Any]]) -> int:
    """The largest sum of allocated minus freed bytes within the event called ``MARK``.

    Args:
        events: of a Chrome trace; allocations are ``[memory]`` events with ``args.Bytes``, which
            is negative where memory is freed. They may be in any order.
    Raises:
        RuntimeError: no event has that name.
    """
    events = list(events)
    marks = [event for event in events if event.get("name") == MARK and "dur" in event]
    if not marks:
        raise RuntimeError(f"the profiler's trace has no event {MARK!r}")
    start, end = marks[0]["ts"], marks[0]["ts"] + marks[0]["dur"]
    alive, peak = 0, 0
    memory = (event for event in events if event.get("name") == "[memory]")
    for event in sorted(memory, key=lambda event: event["ts"]):
        if event["ts"] >= start:
            peak = max(peak, alive)  # what was alive when the step began counts as well
        if event["ts"] > end:
            break
        alive += event["args"]["Bytes"]
        if event["ts"] >= start:
            peak = max(peak, alive)
    return peak
