"""Arguments that several commands share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from qat_cli.app.completion import complete_data, complete_model, complete_recipe

RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help="A shipped recipe (qat recipes list), or your own file.",
        autocompletion=complete_recipe,
    ),
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Changes to the recipe, e.g. train.epochs=5 (qat recipes keys).",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="A built-in or torchvision model (qat models), path/file.py:factory or "
        "package.module:factory.",
        autocompletion=complete_model,
    ),
]
WeightsOption = Annotated[
    str | None, typer.Option("--weights", metavar="FILE", help="Weights to start from.")
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="NAME|FOLDER",
        help="A dataset (qat datasets), or a folder with one folder of images per class.",
        autocompletion=complete_data,
    ),
]
SkipBadFilesOption = Annotated[
    bool | None,
    typer.Option(
        "--skip-bad-files", help="Leave out files that are no images or damaged, with a warning."
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="Run folder, instead of one below runs/."),
]
BatchSizeOption = Annotated[
    int | None, typer.Option("--batch-size", metavar="N", help="Images per step.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", metavar="N", help="Random seed.")]
DeviceOption = Annotated[
    str | None, typer.Option("--device", metavar="DEVICE", help="auto, cpu, mps, cuda or cuda:N.")
]
BackendOption = Annotated[
    Literal["auto", "python", "native", "jit"] | None,
    typer.Option("--backend", help="What quantizers run on; auto: C++ where it can be compiled."),
]
LoggerOption = Annotated[
    Literal["none", "tensorboard"] | None,
    typer.Option("--logger", help="Where the figures of epochs go, beside metrics.csv."),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Build all of it, show layers, sizes, memory and time; keep nothing."
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Log only warnings and errors; log.txt keeps all.")
]


def named_keys(overrides: Iterable[str], options: Mapping[str, object]) -> list[str]:
    """The dotted recipe keys that a command line sets."""
    from qat_cli.recipes.overrides import OPTION_KEYS

    given = [OPTION_KEYS[name] for name, value in options.items() if value is not None]
    return given + [text.partition("=")[0].strip() for text in overrides]


def names_model(keys: Iterable[str]) -> bool:
    """The user named the model on this command line, so that its code may run."""
    return any(key in ("model", "model.name") for key in keys)


def names_teacher(keys: Iterable[str]) -> bool:
    """The user named the model that teaches on this command line, so that its code may run."""
    return any(key in ("distill", "distill.model") for key in keys)
