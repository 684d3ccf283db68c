"""``qat train``: train a model as a recipe says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qat_cli.commands.options import (
    BackendOption,
    BatchSizeOption,
    DataOption,
    DeviceOption,
    JsonOption,
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
from qat_cli.console import Console
from qat_cli.errors import UserError

if TYPE_CHECKING:
    from qat_cli.engine import FinishedRun


def train(
    recipe: RecipeOption = None,
    overrides: OverridesArgument = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    data: DataOption = None,
    skip_bad_files: SkipBadFilesOption = None,
    out: OutOption = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in --out, or the newest of --recipe."),
    ] = False,
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", help="Passes over the images.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", metavar="X", help="Peak learning rate.")
    ] = None,
    batch_size: BatchSizeOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    backend: BackendOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a model as a recipe says, and measure the best checkpoint.

    Everything goes into a run folder: the resolved recipe, figures, curves, a log, and
    checkpoints/best.pt, chosen on a validation part that the test part has no share in.
    """
    from qat_cli.recipes import load_recipe

    console = Console(json, quiet)
    options = {
        "model": model,
        "weights": weights,
        "data": data,
        "skip_bad_files": skip_bad_files,
        "epochs": epochs,
        "lr": lr,
        "batch_size": batch_size,
        "seed": seed,
        "device": device,
        "backend": backend,
    }
    changes = overrides or []
    keys = named_keys(changes, options)
    if resume:
        from qat_cli.engine import keep_freed_memory, resume_run
        from qat_cli.report import find_run_folder

        wanted = None if recipe is None else load_recipe(recipe, changes, options)
        folder = find_run_folder("train", None if wanted is None else wanted.name, out)
        if wanted is None and keys:
            wanted = load_recipe(str(folder.recipe), changes, options)
        keep_freed_memory()
        finished = resume_run(folder, wanted, keys, names_model(keys), console, names_teacher(keys))
    else:
        if recipe is None:
            raise UserError(_which_recipe())
        chosen = load_recipe(recipe, changes, options)
        from qat_cli.engine import keep_freed_memory, start_run

        keep_freed_memory()
        finished = start_run(chosen, out, names_model(keys), console, names_teacher(keys))
    _answer(finished, console)


def _which_recipe() -> str:
    from qat_cli.recipes import list_recipes, load_recipe

    described = {name: load_recipe(name).description for name in list_recipes()}
    width = max(map(len, described))
    lines = [f"  {name.ljust(width)}  {text}" for name, text in described.items()]
    return "\n".join(
        ["which recipe? Give --recipe NAME, or --recipe FILE for your own:", *lines]
        + ["for example: qat train --recipe binary_resnet"]
    )


def _answer(finished: FinishedRun, console: Console) -> None:
    import shlex

    from qat_cli.models import is_user_code
    from qat_cli.report import finite
    from qat_cli.ticker import duration

    outcome, folder, train = finished.outcome, finished.folder, finished.recipe.train
    words = ["qat", "eval", "--checkpoint", str(folder.best)]
    if is_user_code(finished.recipe.model.name):
        words += ["--model", finished.recipe.model.name]

    def human() -> None:
        val, test = outcome.val, outcome.test
        console.out("")
        console.out(
            f"best epoch  {outcome.best_epoch} of {outcome.epochs}, chosen by "
            f"validation: top-1 {val.top1:.2f} % of {val.images} images"
        )
        console.out(
            f"test        top-1 {test.top1:.2f} %, top-5 {test.top5:.2f} %, loss {test.loss:.4f} "
            f"({test.images} images)"
        )
        if outcome.epochs < train.epochs:
            console.out(
                f"stopped     early, after {outcome.epochs} of {train.epochs} epochs: no higher "
                f"validation top-1 in {train.early_stopping_patience}"
            )
        console.out(f"time        {duration(outcome.seconds)}")
        console.out(f"checkpoint  {folder.best}")
        console.out(f"curves      {folder.curves}")
        console.out(f"next        {shlex.join(words)}")

    console.emit(finite(finished.summary), human)
