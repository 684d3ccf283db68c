"""Where figures were measured: machine, versions, commit."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.script import Options
from qat_cli.versions import program_version

ROOT = Path(__file__).resolve().parents[1]


def describe(options: Options) -> dict[str, Any]:
    """Plain values for the file of results; the backend is the one that is really active."""
    from qat import ops

    options.activate()
    changes = _git("status", "--porcelain", "--", ":!benchmarks/results*.json")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the native one is missing is in the report
        backend = ops.backend_report()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "has_uncommitted_changes": None if changes is None else bool(changes),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": platform.platform(),
        "device": _device(options.device),
        "threads": torch.get_num_threads(),
        "backend": {"active": asdict(backend)["active"], "asked": options.backend},
        "python": platform.python_version(),
        "torch": torch.__version__,
        "qat": program_version(),
        "quick": options.quick,
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None  # not a git checkout
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float | None:
    if sys.platform == "win32":
        return None
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return round(total / 2**30, 1)


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
