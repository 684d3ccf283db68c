"""Bytes in use on a device, and bytes still to be had."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch

CGROUPS = (  # limit and use of this process's container, as Linux shows them inside of it
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def in_use(device: torch.device) -> int | None:
    """Bytes that tensors take on a GPU, or everything in the heap of this process on a CPU.

    ``None`` where nothing says so: on a CPU without glibc 2.33 or later.
    """
    return IN_USE.get(device.type, lambda device: None)(device)


def available(device: torch.device) -> int | None:
    """Bytes that this process can still get, its own freed ones included; ``None``: unknown.

    On a CPU the least of what the machine, the container and ``ulimit -v`` leave.
    """
    return AVAILABLE.get(device.type, lambda device: None)(device)


def _heap_in_use(device: torch.device) -> int | None:
    mallinfo = _mallinfo2()
    if mallinfo is None:
        return None
    info = mallinfo()
    return int(info.uordblks + info.hblkhd)  # blocks of the heaps, blocks mapped on their own


class _MallocInfo(ctypes.Structure):
    _fields_ = [  # of struct mallinfo2 in malloc.h
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


@cache
def _mallinfo2() -> Callable[[], _MallocInfo] | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if function is None:
        return None
    function.restype = _MallocInfo
    probe = bytearray(1 << 20)  # another allocator, preloaded, would leave the figures at zero
    return function if function().uordblks + function().hblkhd >= len(probe) else None


def _heap_available(device: torch.device) -> int | None:
    limits = [_of_machine(), *map(_of_container, *zip(*CGROUPS, strict=True)), _of_address_space()]
    known = [limit for limit in limits if limit is not None]
    return max(min(known) + _freed_in_heap(), 0) if known else None


def _of_machine() -> int | None:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _of_container(limit: str, use: str) -> int | None:
    most, now = _read(limit).strip(), _read(use).strip()
    return int(most) - int(now) if most.isdecimal() and now.isdecimal() else None


def _of_address_space() -> int | None:
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _read("/proc/self/statm").split()
    if soft == resource.RLIM_INFINITY or not pages:
        return None
    return soft - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _freed_in_heap() -> int:
    mallinfo = _mallinfo2()
    return int(mallinfo().fordblks) if mallinfo is not None else 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _cuda_available(device: torch.device) -> int:
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


IN_USE: Mapping[str, Callable[[torch.device], int | None]] = {
    "cpu": _heap_in_use,
    "cuda": torch.cuda.memory_allocated,
    "mps": lambda device: torch.mps.current_allocated_memory(),
}
AVAILABLE: Mapping[str, Callable[[torch.device], int | None]] = {
    "cpu": _heap_available,
    "cuda": _cuda_available,
    "mps": lambda device: torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory(),
}
