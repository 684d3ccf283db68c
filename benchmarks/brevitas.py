"""Brevitas for comparison, where ``make oracle`` installed it.

It needs another release of ``dependencies`` than qat, so one process cannot hold both, nor can pip
install both into one environment. It lies in a folder of its own, and a process that has only this
folder more measures there, against the same float counterpart, with the same rounds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.script import Options

ROOT = Path(__file__).resolve().parents[1]


def ratios(work: str, options: Options) -> dict[str, float]:
    """Median ratios to the float counterpart of ``work``, by the name of the candidate.

    Returns:
        Empty where Brevitas is not installed.
    Raises:
        RuntimeError: it is installed and fails.
    """
    if not options.oracle.is_dir():
        return {}
    command = [sys.executable, "-m", "benchmarks.brevitas_process", work, str(options.device)]
    done = subprocess.run(
        [*command, *(["--quick"] if options.quick else [])],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(options.oracle)},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeError(
            f"Brevitas in {options.oracle} fails: {last}; remove that folder to go without."
        )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def column(figures: Mapping[str, float], name: str) -> dict[str, float]:
    """What a row shows of ``figures``: nothing where ``name`` was not measured."""
    return {"Brevitas": figures[name]} if name in figures else {}
