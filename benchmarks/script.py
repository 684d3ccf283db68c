"""Common parts of all scripts: options, state, rows."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.rows import Row, table, write_rows

BACKENDS = ("native", "python")
ORACLE = Path(sys.prefix) / "oracle"  # where `make oracle` installs it


@dataclass(frozen=True)
class Options:
    """How to measure.

    Args:
        device: where the tensors are.
        backend: of the quantizers, ``native`` or ``python``.
        quick: fewer rounds, for a first look.
        data: image folder for the epoch; synthetic images if None.
        oracle: folder that holds Brevitas, if it exists (:mod:`benchmarks.brevitas`).
    """

    device: torch.device = torch.device("cpu")
    backend: str = "native"
    quick: bool = False
    data: Path | None = None
    oracle: Path = ORACLE

    def rounds(self, full: int) -> int:
        """Timed rounds: ``full``, or a fifth of that and at least 3 when quick."""
        return max(3, full // 5) if self.quick else full

    def activate(self) -> None:
        """One thread, a fixed seed, the backend, and memory kept as ``qat train`` keeps it."""
        from qat import config
        from qat_cli.engine.machine.allocator import keep_freed_memory

        keep_freed_memory()  # otherwise the page faults of either side decide

        torch.set_num_threads(1)
        torch.manual_seed(0)
        config.JIT_ENABLED = False
        config.NATIVE_STE_BACKEND_ENABLED = self.backend == "native"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every script and :mod:`benchmarks.run_all` have."""
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--backend", choices=BACKENDS, default="native", help="of the quantizers")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("--data", type=Path, help="image folder for the epoch (default: synthetic)")
    parser.add_argument("--oracle", type=Path, default=ORACLE, help="folder that holds Brevitas")


def options_from(arguments: argparse.Namespace) -> Options:
    """The options as they were parsed.

    Raises:
        SystemExit: CUDA is asked for and there is none.
    """
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: --device cuda, but torch finds no GPU; see `qat doctor`.")
    return Options(
        device, arguments.backend, arguments.quick, arguments.data, arguments.oracle.absolute()
    )


def run(
    measure: Callable[[Options], list[Row]], description: str, argv: Sequence[str] | None = None
) -> None:
    """Parse the command line, measure, print the rows and write them where ``--json`` says.

    On a GPU rows have no goals: those are set for one CPU thread.
    """
    parser = argparse.ArgumentParser(description=description)
    add_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    arguments = parser.parse_args(argv)
    options = options_from(arguments)
    options.activate()
    rows = measure(options)
    if options.device.type != "cpu":
        rows = [dataclasses.replace(row, goal=None) for row in rows]
    print(table(rows))
    if arguments.json is not None:
        write_rows(arguments.json, rows)
