"""All scripts one after the other, one table, one file of results.

Exit code 0 if every row reaches its goal, 1 if one misses it or a script fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, describe
from benchmarks.rows import Row, failed_row, read_rows, table
from benchmarks.script import Options, add_options, options_from

SCRIPTS = (
    "activation",
    "weight",
    "binary_activation",
    "saved_bytes",
    "training_step",
    "peak_memory",
    "epoch",
    "calibration",
)
TIMEOUT = 1200  # seconds; a script takes two minutes at most on any machine of this decade


def run_script(module: str, options: Options) -> list[Row]:
    """Rows of ``python -m module`` in a process of its own, so that nothing leaks between rows.

    A script that fails, or takes more than ``TIMEOUT`` seconds, gives one failed row with the last
    line of what it wrote on standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        command = [sys.executable, "-m", module, *_arguments(options), "--json", str(file)]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return [failed_row(module, f"not done after {TIMEOUT} s")]
        if done.returncode != 0 or not file.exists():
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return [failed_row(module, lines[-1])]
        return read_rows(file)


def run_all(
    scripts: Sequence[str],
    options: Options,
    run: Callable[[str, Options], list[Row]] = run_script,
) -> list[Row]:
    """Rows of all ``scripts`` (modules), each said on standard error when it starts."""
    rows: list[Row] = []
    for script in scripts:
        started = time.monotonic()
        print(f"{script} ...", end=" ", file=sys.stderr, flush=True)
        rows += run(script, options)
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return rows


def exit_code(rows: Sequence[Row]) -> int:
    """1 if a row misses its goal or failed, else 0."""
    return int(any(row.is_missed for row in rows))


def write_results(path: Path, rows: Sequence[Row], machine: dict[str, Any]) -> None:
    """Write machine and rows as JSON."""
    document = {"machine": machine, "rows": [row.as_dict() for row in rows]}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, print the table, write the results; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="file of results (default: benchmarks/results.json)",
    )
    arguments = parser.parse_args(argv)
    options = options_from(arguments)
    # Now, since a commit made while the scripts run is not the one that they measure; this also
    # builds the native library, which would otherwise fall to the first script.
    machine = describe(options)
    rows = run_all([f"benchmarks.{script}" for script in SCRIPTS], options)
    name = "results.json" if options.device.type == "cpu" else f"results_{options.device.type}.json"
    write_results(arguments.out or ROOT / "benchmarks" / name, rows, machine)
    print(table(rows))
    return exit_code(rows)


def _arguments(options: Options) -> list[str]:
    arguments = ["--device", options.device.type, "--backend", options.backend]
    arguments += ["--oracle", str(options.oracle)]
    if options.quick:
        arguments.append("--quick")
    if options.data is not None:
        arguments += ["--data", str(options.data.absolute())]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
