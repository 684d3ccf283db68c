"""The ``qat`` command: the table of its commands.

Nothing here, and nothing at the top of a command's file, imports torch or ``qat``: the help must
answer at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from qat_cli.app.group import DEBUG_FLAG, CommandGroup
from qat_cli.app.help import Command, examples
from qat_cli.app.resume import ResumableCommand
from qat_cli.commands import recipes
from qat_cli.commands.calibrate import calibrate
from qat_cli.commands.datasets import datasets
from qat_cli.commands.doctor import doctor
from qat_cli.commands.evaluate import evaluate
from qat_cli.commands.explain import explain
from qat_cli.commands.export import export
from qat_cli.commands.inspect import inspect
from qat_cli.commands.models import models
from qat_cli.commands.train import train
from qat_cli.commands.verify import verify
from qat_cli.versions import program_version

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich would take half of the time that the help has
    epilog=examples(
        "qat train --recipe binary_resnet train.epochs=5",
        "qat train --recipe resnet_w4a4 --model my_model.py:make --weights float.pt --data images/",
        "qat recipes list",
    ),
)
app.command(
    "train",
    cls=ResumableCommand,
    epilog=examples(
        "qat train --recipe binary_resnet",
        "qat train --recipe resnet_w4a4 --epochs 5 quant.weight.bit_width=2",
        "qat train --recipe resnet_w4a4 --model my_model.py:make --weights float.pt --data images/",
        "qat train --recipe binary_resnet --resume",
        "qat train --recipe resnet_w4a4 --data images/ --dry-run",
        "qat train --resume runs/train/binary_resnet-001",
    ),
)(train)
app.command(
    "calibrate",
    cls=Command,
    epilog=examples(
        "qat calibrate --recipe resnet_w8a8_ptq --weights float.pt --model resnet18 --data images/",
        "qat calibrate --recipe resnet_w8a8_ptq --weights float.pt --images 1024",
    ),
)(calibrate)
app.command(
    "eval",
    cls=Command,
    epilog=examples(
        "qat eval --checkpoint runs/train/binary_resnet-001/checkpoints/best.pt",
        "qat eval --model resnet20 --weights float.pt --data images/",
    ),
)(evaluate)
app.command(
    "inspect",
    cls=Command,
    epilog=examples(
        "qat inspect --recipe resnet_w4a4",
        "qat inspect --checkpoint runs/train/binary_resnet-001/checkpoints/best.pt",
    ),
)(inspect)
app.command(
    "export",
    cls=Command,
    epilog=examples(
        "qat export --checkpoint runs/calibrate/resnet_w8a8_ptq-001/checkpoints/best.pt",
        "qat export --checkpoint best.pt --model my_model.py:make --out network.onnx",
    ),
)(export)
app.command(
    "verify",
    cls=Command,
    epilog=examples("qat verify --checkpoint best.pt --model-file network.onnx --images 1000"),
)(verify)
app.add_typer(recipes.app, name="recipes")
app.command(
    "explain",
    cls=Command,
    epilog=examples("qat explain train.epochs", "qat explain quant.weight"),
)(explain)
app.command("models", cls=Command, epilog=examples("qat models resnet"))(models)
app.command("datasets", cls=Command, epilog=examples("qat datasets --json"))(datasets)
app.command("doctor", cls=Command, epilog=examples("qat doctor --build"))(doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"qat {program_version()}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option(DEBUG_FLAG, help="Show the traceback of an error; anywhere on the line.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Train, calibrate and evaluate quantized neural networks, down to one bit."""


def run() -> None:
    """Run the command line of this process; does not return."""
    try:
        app(prog_name="qat")
    except SystemExit as ending:
        if os.environ.get("WORLD_SIZE", "1") != "1" and isinstance(ending.code, int):
            # One of several processes: threads of the group that a failure left open would abort
            # the interpreter while it shuts down, and with it the exit code.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ending.code)
        raise


if __name__ == "__main__":
    run()
