"""``qat train``: train a model as a recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from qat_cli.app.options import (
    BackendOption,
    BatchSizeOption,
    DataOption,
    DeviceOption,
    DryRunOption,
    JsonOption,
    LoggerOption,
    ModelOption,
    OutOption,
    OverridesArgument,
    QuietOption,
    RecipeOption,
    SeedOption,
    SkipBadFilesOption,
    WeightsOption,
    named_keys,
    names_model,
    names_teacher,
)
from qat_cli.app.resume import ResumeOption, folder_to_resume
from qat_cli.commands.views import train as train_view
from qat_cli.errors import UserError
from qat_cli.terminal.console import Console


def train(
    context: typer.Context,
    recipe: RecipeOption = None,
    overrides: OverridesArgument = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    data: DataOption = None,
    skip_bad_files: SkipBadFilesOption = None,
    out: OutOption = None,
    resume: ResumeOption = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", help="Passes over the images.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", metavar="X", help="Peak learning rate.")
    ] = None,
    batch_size: BatchSizeOption = None,
    auto_batch: Annotated[
        bool, typer.Option("--auto-batch", help="Halve the batch size until a step fits.")
    ] = False,
    seed: SeedOption = None,
    device: DeviceOption = None,
    backend: BackendOption = None,
    logger: LoggerOption = None,
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option("--precision", help="What layers compute with in training."),
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Train through torch.compile; for GPUs.")
    ] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Only operations that repeat bit by bit.")
    ] = False,
    dry_run: DryRunOption = False,
    nproc: Annotated[
        str | None,
        typer.Option(
            "--nproc",
            metavar="N|gpu",
            help="Train in N processes on this machine; gpu: one for each GPU.",
        ),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a model as a recipe says, and measure the result.

    Everything goes into a run folder: the resolved recipe, figures, curves, a log, and
    checkpoints/best.pt, chosen on a validation part that the test part has no share in.
    """
    from qat_cli.recipes import load_recipe

    if nproc is not None and not dry_run:
        _launch(nproc, context.meta)
    console = Console(json, quiet)
    options = {
        "model": model,
        "weights": weights,
        "data": data,
        "skip_bad_files": skip_bad_files,
        "epochs": epochs,
        "lr": lr,
        "batch_size": batch_size,
        "auto_batch": auto_batch or None,
        "seed": seed,
        "device": device,
        "backend": backend,
        "logger": logger,
        "precision": precision,
        "compile": compiled or None,
        "deterministic": deterministic or None,
    }
    changes = overrides or []
    keys = named_keys(changes, options)
    if dry_run:
        _dry_run(recipe, changes, options, out, resume, console)
        return
    chosen = None if recipe is None else load_recipe(recipe, changes, options)
    if chosen is None and resume is None:
        raise UserError(train_view.which_recipe(changes))
    from qat_cli.engine import keep_freed_memory, resume_run, start_run
    from qat_cli.engine.machine import distributed

    keep_freed_memory()
    allowed = names_model(keys), console, names_teacher(keys)
    with distributed.joined():  # all processes go on with the same run
        folder = None
        if resume is not None:
            name = None if chosen is None else chosen.name
            folder = distributed.from_first(lambda: folder_to_resume(resume, name, out))
        if folder is not None and chosen is None and keys:
            chosen = load_recipe(str(folder.recipe), changes, options)
        if folder is not None:
            finished = resume_run(folder, chosen, keys, *allowed)
        elif chosen is not None:
            finished = start_run(chosen, out, *allowed)
        else:
            raise UserError(train_view.which_recipe(changes))
    train_view.show(finished, console)


def _dry_run(
    recipe: str | None,
    changes: list[str],
    options: Mapping[str, object],
    out: Path | None,
    resume: str | None,
    console: Console,
) -> None:
    if resume is not None or out is not None:
        raise UserError("--dry-run looks at a run before it: leave --resume and --out out")
    if recipe is None:
        raise UserError(train_view.which_recipe(changes))
    from qat_cli.commands.views.dry_run import show_dry_run
    from qat_cli.recipes import load_recipe

    chosen = load_recipe(recipe, changes, options)
    from qat_cli.engine import dry_train, keep_freed_memory

    keep_freed_memory()
    keys = named_keys(changes, options)
    found = dry_train(chosen, names_model(keys), names_teacher(keys), console)
    show_dry_run("train", found, console)


def _launch(nproc: str, meta: Mapping[str, Any]) -> None:
    """Run this command in several processes and end as they do; where one is wanted, return."""
    from qat_cli.app.group import ARGUMENTS
    from qat_cli.app.launcher import launch, process_count, without_option

    count = process_count(nproc)
    if count > 1:
        launch(without_option(meta[ARGUMENTS]), count)
