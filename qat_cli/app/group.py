"""Group of commands in which an exception becomes one message.

The message goes to standard error and the process ends with an exit code.
"""

from __future__ import annotations

import errno
import signal
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from qat_cli.app.given import ARGUMENTS
from qat_cli.errors import Interrupted, SaidElsewhere, UserError, WorkFailed
from qat_cli.terminal.console import Console

DEBUG_FLAG = "--debug"


class CommandGroup(TyperGroup):
    """A command group in which an exception becomes one message and an exit code.

    Exit codes: 2 for :class:`UserError` and wrong usage, 1 for :class:`WorkFailed` and for a bug,
    130 or 143 for an interruption. ``--debug``, anywhere on the line, shows the traceback too.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS] = list(args)
        before, separator, after = _partition(args, "--")
        if DEBUG_FLAG in before:
            before = [DEBUG_FLAG, *(argument for argument in before if argument != DEBUG_FLAG)]
        return super().parse_args(ctx, [*before, *separator, *after])

    def invoke(self, ctx: Any) -> Any:
        debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except (UserError, WorkFailed, Interrupted) as error:
            _report(str(error), debug)
            raise typer.Exit(error.exit_code) from None
        except SaidElsewhere as silent:
            raise typer.Exit(silent.exit_code) from None
        except KeyboardInterrupt:
            _report("interrupted", debug)
            raise typer.Exit(128 + signal.SIGINT) from None
        except Exception as error:
            if _is_for_typer(error):
                raise
            if _is_bad_flag(error):
                _report(str(error), debug)
                raise typer.Exit(UserError.exit_code) from None
            hint = "" if debug else "; run with --debug for the traceback"
            _report(f"internal error: {type(error).__name__}: {error}{hint}", debug)
            raise typer.Exit(WorkFailed.exit_code) from None


def _partition(args: list[str], separator: str) -> tuple[list[str], list[str], list[str]]:
    if separator not in args:
        return args, [], []
    at = args.index(separator)
    return args[:at], [separator], args[at + 1 :]


def _report(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    Console().error(message)


def _is_for_typer(error: Exception) -> bool:
    """Usage errors and exits have their own display; a closed pipe (``| head``) is no error."""
    own = type(error).__module__.split(".")[0] in ("typer", "click")
    return own or (isinstance(error, OSError) and error.errno == errno.EPIPE)


def _is_bad_flag(error: Exception) -> bool:
    """A ``QAT_*`` variable held no boolean: ``qat.config`` refuses that while it is imported."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return isinstance(error, ValueError) and frames[-1][0].f_globals["__name__"] == "qat.config"
