"""The table of options: flag, recipe key, heading and commands of each.

A command declared with :func:`qat_cli.app.given.with_options` has the options of its rows. An
option for a recipe key is one row here and nothing anywhere else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from qat_cli.app.completion import complete_data, complete_model, complete_recipe

MODEL_AND_DATA = "Recipe, model and data"
TRAINING = "Training"
CALIBRATION = "Calibration"
MEASUREMENT = "Measurement"
COMPUTATION = "Computation"
RUN_FOLDER = "Run folder"
FILE = "File"
OUTPUT = ""  # under "Options", behind the others

TRAIN, CALIBRATE, EVAL, INSPECT = "train", "calibrate", "eval", "inspect"
EXPORT, VERIFY = "export", "verify"
EVERY = (TRAIN, CALIBRATE, EVAL, INSPECT, EXPORT, VERIFY)
ON_RECIPES = (TRAIN, CALIBRATE, INSPECT)
WITH_DATA = (TRAIN, CALIBRATE, EVAL)
RUNS = (TRAIN, CALIBRATE)

Complete = Callable[[str], Iterable[tuple[str, str]]]


@dataclass(frozen=True)
class Option:
    """One row: an option of some commands, or the argument ``KEY=VALUE``.

    Args:
        name: by which the command finds the value; the flag is ``--name``, ``_`` being ``-``.
        kind: type of the value; ``bool`` for a flag.
        help: one line.
        commands: that have it.
        heading: in their help.
        key: dotted key of the recipe that it sets; ``None`` where it sets none.
        metavar: stands for the value in the help.
        complete: offers values to the shell.
        default: where it is not given.
        short: a second flag.
    """

    name: str
    kind: Any
    help: str
    commands: tuple[str, ...]
    heading: str
    key: str | None = None
    metavar: str | None = None
    complete: Complete | None = None
    default: Any = None
    short: str | None = None

    @property
    def flag(self) -> str:
        """As it is typed."""
        return f"--{self.name.replace('_', '-')}"

    def parameter(self) -> inspect.Parameter:
        """The row as a parameter that Typer reads."""
        texts: dict[str, Any] = {
            "help": self.help,
            "metavar": self.metavar,
            "autocompletion": self.complete,
        }
        if self.name == "overrides":
            declared: Any = typer.Argument(**texts)
        else:
            flags = [self.flag] if self.short is None else [self.flag, self.short]
            declared = typer.Option(*flags, **texts)
        is_flag = self.kind is bool
        kind = self.kind if is_flag or self.default is not None else self.kind | None
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if is_flag else self.default,
            annotation=Annotated[kind, declared],
        )


OPTIONS = (
    Option(
        "checkpoint",
        Path,
        "A checkpoint that qat wrote.",
        (EVAL, INSPECT, EXPORT, VERIFY),
        MODEL_AND_DATA,
        metavar="FILE",
    ),
    Option(
        "recipe",
        str,
        "A shipped recipe (qat recipes list), or your own file.",
        ON_RECIPES,
        MODEL_AND_DATA,
        metavar="NAME|FILE",
        complete=complete_recipe,
    ),
    Option(
        "overrides",
        list[str],
        "Changes to the recipe, e.g. train.epochs=5 (qat recipes keys).",
        ON_RECIPES,
        MODEL_AND_DATA,
        metavar="KEY=VALUE",
    ),
    Option(
        "model",
        str,
        "A built-in or torchvision model (qat models), path/file.py:factory or "
        "package.module:factory.",
        EVERY,
        MODEL_AND_DATA,
        key="model.name",
        metavar="MODEL",
        complete=complete_model,
    ),
    Option(
        "weights",
        str,
        "Weights to start from.",
        ON_RECIPES,
        MODEL_AND_DATA,
        key="model.weights",
        metavar="FILE",
    ),
    Option(
        "weights",
        str,
        "Weights of a float model.",
        (EVAL,),
        MODEL_AND_DATA,
        key="model.weights",
        metavar="FILE",
    ),
    Option(
        "data",
        str,
        "A dataset (qat datasets), or a folder with one folder of images per class.",
        EVERY,
        MODEL_AND_DATA,
        key="data.name",
        metavar="NAME|FOLDER",
        complete=complete_data,
    ),
    Option(
        "skip_bad_files",
        bool,
        "Leave out files that are not images, or are damaged, with a warning.",
        WITH_DATA,
        MODEL_AND_DATA,
        key="data.skip_bad_files",
    ),
    Option(
        "epochs",
        int,
        "Passes over the images.",
        (TRAIN,),
        TRAINING,
        key="train.epochs",
        metavar="N",
    ),
    Option("lr", float, "Peak learning rate.", (TRAIN,), TRAINING, key="optimizer.lr", metavar="X"),
    Option(
        "batch_size",
        int,
        "Images per step.",
        (TRAIN,),
        TRAINING,
        key="train.batch_size",
        metavar="N",
    ),
    Option(
        "auto_batch",
        bool,
        "Halve the batch size until a step fits.",
        (TRAIN,),
        TRAINING,
        key="train.auto_batch",
    ),
    Option(
        "images",
        int,
        "Training images that are shown.",
        (CALIBRATE,),
        CALIBRATION,
        key="calibrate.images",
        metavar="N",
    ),
    Option("seed", int, "Random seed.", RUNS, TRAINING, key="train.seed", metavar="N"),
    Option(
        "split",
        Literal["train", "val", "test"],
        "The part to measure.",
        (EVAL,),
        MEASUREMENT,
        default="test",
    ),
    Option(
        "batch_size",
        int,
        "Images per step.",
        (EVAL,),
        MEASUREMENT,
        key="train.eval_batch_size",
        metavar="N",
    ),
    Option(
        "device",
        str,
        "auto, cpu, mps, cuda or cuda:N.",
        WITH_DATA,
        COMPUTATION,
        key="train.device",
        metavar="DEVICE",
    ),
    Option(
        "backend",
        Literal["auto", "python", "native", "jit"],
        "What quantizers run on; auto: C++ where it can be compiled.",
        WITH_DATA,
        COMPUTATION,
        key="train.backend",
    ),
    Option(
        "precision",
        Literal["float32", "bfloat16", "float16"],
        "What layers compute with in training.",
        (TRAIN,),
        COMPUTATION,
        key="train.precision",
    ),
    Option(
        "compile",
        bool,
        "Train through torch.compile; for GPUs.",
        (TRAIN,),
        COMPUTATION,
        key="train.compile",
    ),
    Option(
        "deterministic",
        bool,
        "Only operations that repeat bit by bit.",
        (TRAIN,),
        COMPUTATION,
        key="train.deterministic",
    ),
    Option(
        "nproc",
        str,
        "Train in N processes on this machine; gpu: one for each GPU.",
        (TRAIN,),
        COMPUTATION,
        metavar="N|gpu",
    ),
    Option(
        "out", Path, "Run folder, instead of one below runs/.", RUNS, RUN_FOLDER, metavar="FOLDER"
    ),
    Option(
        "resume",
        str,
        "Go on with a run: its folder or last.pt; alone: the one in --out, or the newest of "
        "--recipe; auto: that one if there is one, else start.",
        (TRAIN,),
        RUN_FOLDER,
        metavar="[RUN|CHECKPOINT|auto]",
    ),
    Option(
        "logger",
        Literal["none", "tensorboard"],
        "Where the figures of epochs go, beside metrics.csv.",
        (TRAIN,),
        RUN_FOLDER,
        key="train.logger",
    ),
    Option(
        "dry_run",
        bool,
        "Build all of it, show layers, sizes, memory and time; keep nothing.",
        RUNS,
        RUN_FOLDER,
    ),
    Option(
        "model_file",
        Path,
        "The file that qat export wrote.",
        (VERIFY,),
        MODEL_AND_DATA,
        metavar="FILE",
    ),
    Option(
        "images",
        int,
        "Test images that are shown.",
        (VERIFY,),
        MEASUREMENT,
        metavar="N",
        default=64,
    ),
    Option(
        "out", Path, "The file, instead of one in the run folder.", (EXPORT,), FILE, metavar="FILE"
    ),
    Option(
        "opset",
        int,
        "Version of ONNX: 21, or 25, which has weights of 2 bit.",
        (EXPORT,),
        FILE,
        metavar="N",
        default=21,
    ),
    Option("json", bool, "Print one JSON document on standard output.", EVERY, OUTPUT),
    Option(
        "quiet", bool, "Log only warnings and errors; log.txt keeps all.", EVERY, OUTPUT, short="-q"
    ),
)
#: The option of commands that only list or explain.
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def rows_of(command: str) -> list[Option]:
    """The rows of one command, in order of its help."""
    return [row for row in OPTIONS if command in row.commands]


def flags_of(key: str) -> list[str]:
    """The flags that set a dotted key of a recipe."""
    return list(dict.fromkeys(row.flag for row in OPTIONS if row.key == key))


def headings() -> list[str]:
    """Of all commands, in order."""
    return list(dict.fromkeys(row.heading for row in OPTIONS if row.heading))


def heading_of(command: str, parameter: str) -> str:
    """The heading of a command's parameter; ``""`` for none."""
    found = (row.heading for row in rows_of(command) if row.name == parameter)
    return next(found, "")
