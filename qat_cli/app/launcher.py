"""Several processes of one command on this machine: ``qat train --nproc N``.

Plain processes, watched by the one that started them. torch's elastic launcher restarts workers,
which a command with run folders of its own has no use for; it reports in its own form, and it gives
one exit code for whatever happened.

The launching process keeps the store by which the others find each other, so that no port has to
be guessed and what a process said before it ended can still be read.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from qat_cli.errors import SaidElsewhere, UserError, WorkFailed
from qat_cli.terminal.console import Console

#: Environment variable with the process number of the launcher.
LAUNCHER = "QAT_LAUNCHER"
OPTION = "--nproc"
#: Once a process has failed, the others find out by themselves; then they are killed.
PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.05
LAST_LINES = 20


def process_count(wanted: str) -> int:
    """How many processes ``--nproc`` asks for: a number, ``gpu`` (one per GPU; at least one GPU is
    needed) or ``auto`` (one per GPU, one process where there is none).

    Raises:
        UserError: it is none of these, there is no GPU for ``gpu``, or torchrun has started
            several processes already.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UserError(
            f"{OPTION} starts processes, and torchrun has done so already; leave it out"
        )
    if wanted in ("gpu", "auto"):
        import torch

        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not gpus and wanted == "gpu":
            raise UserError(
                f"{OPTION} gpu: torch finds no GPU on this machine; give a number of processes "
                "with --device cpu, and see qat doctor."
            )
        return max(gpus, 1)
    if not wanted.isdecimal() or int(wanted) < 1:
        raise UserError(f"{OPTION} must be a number from 1, gpu or auto, got {wanted!r}")
    return int(wanted)


def launched_with() -> list[str]:
    """The words of the command line that start as many processes as this one was started with."""
    return [OPTION, os.environ["WORLD_SIZE"]] if LAUNCHER in os.environ else []


def launch(arguments: Sequence[str], count: int) -> None:
    """Run ``qat ARGUMENTS`` in ``count`` processes that share the work, to the end.

    The first one has this process's output; what the others say is shown if they are killed.
    Signals are passed on to all.

    Raises:
        SaidElsewhere: with the exit code of the first process, which has said what it had to.
        WorkFailed: a process was killed.
    """
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with tempfile.TemporaryDirectory(prefix="qat-") as folder:
        outputs = [Path(folder) / f"process-{number}.txt" for number in range(count)]
        with _passing_signals_on() as processes:
            for number, output in enumerate(outputs):
                environment = {
                    "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count)),
                    **os.environ,  # the user's own number of threads, if there is one, wins
                    **process_environment(number, count, store.port),
                }
                processes.append(_start(arguments, environment, output if number else None))
            codes = _wait(processes)
        killed = [number for number, code in enumerate(codes) if code is not None and code < 0]
        failed = [number for number, code in enumerate(codes) if code]
        for number in killed or (failed if codes[0] == 0 else []):
            _show_last_lines(number, outputs[number])
    if killed:
        raise WorkFailed("\n".join(_epitaph(number, codes[number] or 0) for number in killed))
    raise SaidElsewhere(codes[failed[0]] or 0 if failed else 0)


def without_option(arguments: Sequence[str]) -> list[str]:
    """``arguments`` less ``--nproc`` and its value."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            return [*kept, word, *words]
        if word == OPTION:
            next(words, None)
        elif not word.startswith(f"{OPTION}="):
            kept.append(word)
    return kept


def process_environment(number: int, count: int, port: int) -> Mapping[str, str]:
    """What process ``number`` of ``count`` on this machine finds the others by.

    The variables of torchrun; the store at ``port`` is kept by this process, which started them.
    """
    return {
        LAUNCHER: str(os.getpid()),
        "PYTHONSAFEPATH": "1",  # like the command itself, do not import from the present folder
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store is there, the first needs no own
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
    }


def _start(
    arguments: Sequence[str], environment: Mapping[str, str], output: Path | None
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "qat_cli.main", *arguments]
    # In sessions of their own: Ctrl-C reaches this process alone, which passes it on once.
    if output is None:
        return subprocess.Popen(command, env=environment, start_new_session=True)
    with open(output, "wb") as stream:
        return subprocess.Popen(
            command,
            env=environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )


@contextmanager
def _passing_signals_on() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Signals go to the processes in the list; none of them outlives the context."""
    processes: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        for process in processes:
            process.send_signal(number)  # does nothing to one that has ended

    before = {n: signal.signal(n, pass_on) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> list[int | None]:
    """Until all have ended, or one has failed and the others have had their time to notice.

    Returns:
        How each ended, ``None`` for one that has not.
    """
    patience: float | None = None
    while True:
        codes = [process.poll() for process in processes]
        if None not in codes:
            return codes
        if patience is None and any(codes):
            patience = time.monotonic() + PATIENCE_SECONDS
        if patience is not None and time.monotonic() > patience:
            return codes
        time.sleep(POLL_SECONDS)


def _show_last_lines(number: int, output: Path) -> None:
    if output.exists():
        for line in output.read_text(errors="replace").splitlines()[-LAST_LINES:]:
            Console().info(f"process {number}: {line}")


def _epitaph(number: int, code: int) -> str:
    name = signal.Signals(-code).name
    why = "; the system does that when memory runs out" if name == "SIGKILL" else ""
    return f"process {number} was killed by {name}{why}"
