"""The device of a command, and the backend of its quantizers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from qat import config, jit, ops
from qat.ops.native import load as native
from qat_cli.engine.machine import distributed
from qat_cli.errors import UserError
from qat_cli.recipes import Recipe
from qat_cli.terminal.console import Console

FLAGS = ("JIT_ENABLED", "NATIVE_STE_BACKEND_ENABLED")


@dataclass(frozen=True)
class Choice:
    """Values of the flags of ``qat.config``, and why."""

    jit: bool
    native: bool
    reason: str


def choose_device(name: str) -> torch.device:
    """``auto`` is the first GPU if there is one, else the CPU; other names are taken as given.

    Of several processes on a machine each gets a GPU of its own.

    Raises:
        UserError: the device is not there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about drivers; doctor reports them
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    device = torch.device(name)
    if distributed.size() > 1 and device.type != "cpu":
        return _own_gpu(device, gpus)
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise UserError(
            f"device {name!r} is not there: torch finds {gpus} GPU(s); use --device cpu, "
            "and see qat doctor."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device 'mps' is not there; use --device cpu.")
    return device


def _own_gpu(device: torch.device, gpus: int) -> torch.device:
    count = distributed.local_size()
    if device.type == "mps" or device.index is not None:
        raise UserError(
            f"device {str(device)!r} is one device, and there are {distributed.size()} processes; "
            "use --device cuda, or --device cpu."
        )
    if count > gpus:
        raise UserError(
            f"{count} processes on this machine need {count} GPUs: torch finds {gpus}; start "
            f"{gpus or 'fewer'}, or use --device cpu."
        )
    own = torch.device("cuda", distributed.local_rank())
    torch.cuda.set_device(own)
    return own


@contextmanager
def chosen_backend(recipe: Recipe, device: torch.device, console: Console) -> Iterator[None]:
    """Inside this context quantizers are built for, and run on, the backend of ``train.backend``.

    A flag set in the environment decides instead. A recipe without quantizers needs none.

    Args:
        recipe: gives ``train.backend`` and says whether anything is quantized.
        device: where the model is.
        console: told which backend it is and why, and when C++ is compiled.
    Raises:
        UserError: the backend that the recipe names cannot be used here.
    """
    if recipe.quant is None:
        yield
        return
    with _announced(console):
        choice = None if flags_from_environment() else CHOICES[recipe.train.backend](device)
    if choice is None:
        _say_what_the_environment_decides(recipe.train.backend, console)
        yield
        return
    with _flags(choice):
        console.info(f"backend {backend_in_use(recipe)}: {choice.reason}")
        yield


def backend_in_use(recipe: Recipe) -> str | None:
    """``python``, ``native`` or ``jit`` as it is now; ``None`` where nothing is quantized."""
    if recipe.quant is None:
        return None
    if config.JIT_ENABLED and jit.is_available():
        return "jit"
    return ops.active_backend()


def flags_from_environment() -> list[str]:
    """``QAT_JIT=1`` and the like: those variables of the backend that are set."""
    origins = [config.flag_sources()[name].origin for name in FLAGS]
    return [o.removeprefix("environment ") for o in origins if o.startswith("environment ")]


def _auto(device: torch.device) -> Choice:
    if device.type != "cpu":  # the C++ ops are written for processors
        return Choice(False, False, f"auto, on device {device}")
    failure = _native_failure()
    if failure:
        return Choice(False, False, f"auto, same numbers in more time: no native one, {failure}")
    return Choice(False, True, "auto, compiled C++ on the CPU")


def _python(device: torch.device) -> Choice:
    return Choice(False, False, "as asked for")


def _native(device: torch.device) -> Choice:
    failure = _native_failure()
    if failure:
        raise UserError(
            f"the native backend cannot be used: {failure}. "
            "See qat doctor --build, or use --backend auto."
        )
    return Choice(False, True, "as asked for")


def _jit(device: torch.device) -> Choice:
    if not jit.is_available():
        raise UserError(
            f"torch {torch.__version__} has no TorchScript here (is PYTORCH_JIT=0 set?); "
            "use --backend auto."
        )
    failure = _native_failure()
    return Choice(True, False, f"as asked for{f'; its ops are Python: {failure}' * bool(failure)}")


CHOICES: Mapping[str, Callable[[torch.device], Choice]] = {
    "auto": _auto,
    "python": _python,
    "native": _native,
    "jit": _jit,
}


def _native_failure() -> str:
    """Why the C++ ops cannot be used, ``""`` if they can; builds them the first time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", native.NativeBackendWarning)  # said by whoever asks
        return native.load().failure


def _say_what_the_environment_decides(asked: str, console: Console) -> None:
    variables = ", ".join(flags_from_environment())
    with _announced(console), warnings.catch_warnings():
        warnings.simplefilter("ignore", native.NativeBackendWarning)  # the report repeats it
        report = ops.backend_report()
    console.info(f"backend: the environment decides ({variables}); ops {report.active}")
    if config.NATIVE_STE_BACKEND_ENABLED and report.active == "python":
        console.warn(f"backend: {report.reason}")
    if asked != "auto":
        console.warn(f"train.backend {asked} has no effect while {variables} is set")


@contextmanager
def _flags(choice: Choice) -> Iterator[None]:
    jit_before = config.JIT_ENABLED
    config.JIT_ENABLED = False  # while it is on, the other flag reads true whatever it was set to
    native_before = config.NATIVE_STE_BACKEND_ENABLED
    config.NATIVE_STE_BACKEND_ENABLED = choice.native
    config.JIT_ENABLED = choice.jit
    try:
        yield
    finally:
        config.NATIVE_STE_BACKEND_ENABLED = native_before
        config.JIT_ENABLED = jit_before


@contextmanager
def _announced(console: Console) -> Iterator[None]:
    """Show what the library logs, above all that it is compiling."""
    logger, handler = logging.getLogger("qat"), _ConsoleHandler(console)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        self.console.info(record.getMessage())
