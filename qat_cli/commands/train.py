"""``qat train``: train a model as a recipe says."""

from __future__ import annotations

from collections.abc import Sequence

from qat_cli.app.given import Given, with_options
from qat_cli.app.resume import folder_to_resume
from qat_cli.commands.views import train as train_view
from qat_cli.errors import UserError


@with_options("train")
def train(given: Given) -> None:
    """Train a model as a recipe says, and measure the result.

    Everything goes into a run folder: the resolved recipe, figures, curves, a log, and
    checkpoints/best.pt, chosen on a validation part that the test part has no share in.
    """
    if given["dry_run"]:
        _dry_run(given)
        return
    if given["nproc"] is not None:
        _launch(given["nproc"], given.words)
    console, name, resume = given.console(), given["recipe"], given["resume"]
    recipe = None if name is None else given.load(name)
    if recipe is None and resume is None:
        raise UserError(train_view.which_recipe(given.texts))
    from qat_cli.engine import keep_freed_memory, resume_run, start_run
    from qat_cli.engine.machine import distributed

    keep_freed_memory()
    allowed = given.names_model, console, given.names_teacher
    with distributed.joined():  # all processes go on with the same run
        folder = None
        if resume is not None:
            own = None if recipe is None else recipe.name
            folder = distributed.from_first(lambda: folder_to_resume(resume, own, given["out"]))
        if folder is not None and recipe is None and given.keys:
            recipe = given.load(str(folder.recipe))
        if folder is not None:
            finished = resume_run(folder, recipe, given.keys, *allowed)
        elif recipe is not None:
            finished = start_run(recipe, given["out"], *allowed)
        else:
            raise UserError(train_view.which_recipe(given.texts))
    train_view.show(finished, console)


def _dry_run(given: Given) -> None:
    if given["resume"] is not None or given["out"] is not None:
        raise UserError("--dry-run looks at a run before it: leave --resume and --out out")
    if given["recipe"] is None:
        raise UserError(train_view.which_recipe(given.texts))
    from qat_cli.commands.views.dry_run import show_dry_run

    recipe, console = given.load(given["recipe"]), given.console()
    from qat_cli.engine import dry_train, keep_freed_memory

    keep_freed_memory()
    found = dry_train(recipe, given.names_model, given.names_teacher, console)
    show_dry_run("train", found, console)


def _launch(nproc: str, words: Sequence[str]) -> None:
    """Run this command in several processes and end as they do; where one is wanted, return."""
    from qat_cli.app.launcher import launch, process_count, without_option

    count = process_count(nproc)
    if count > 1:
        launch(without_option(words), count)
