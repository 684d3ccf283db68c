"""A training run that goes on from where it stopped."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from qat_cli.checkpoint import Checkpoint, read_checkpoint
from qat_cli.engine.machine import distributed
from qat_cli.engine.machine.backend import chosen_backend
from qat_cli.engine.machine.randomness import deterministic
from qat_cli.engine.run.state import TrainingState
from qat_cli.engine.run.training import Training, make_parts
from qat_cli.engine.setup.experiment import decoded, float_experiment, restored
from qat_cli.engine.setup.teacher import make_teacher
from qat_cli.engine.tasks.train import (
    PARTS,
    Allowed,
    Built,
    FinishedRun,
    finish,
    make_loggers,
    run_log,
    training_of,
)
from qat_cli.errors import UserError
from qat_cli.models import absolute_name
from qat_cli.recipes import Recipe, recipe_from_tree
from qat_cli.report import RunFolder, RunLog
from qat_cli.terminal.console import Console


def resume_run(
    folder: RunFolder,
    wanted: Recipe | None,
    named_keys: Iterable[str],
    allow_user_code: bool,
    console: Console,
    allow_teacher_code: bool = False,
) -> FinishedRun:
    """Go on with the run in ``folder``; it ends as if it had never stopped.

    Args:
        folder: has ``last.pt``.
        wanted: the recipe of this command line, if it names one.
        named_keys: dotted keys that this command line sets; they must agree with the run.
        allow_user_code, console, allow_teacher_code: see :func:`start_run`.
    Raises:
        UserError: the run cannot go on, or was started with other values of ``named_keys``.
        WorkFailed, Interrupted: see :func:`start_run`.
    """
    log = run_log(folder, console)
    allowed = Allowed(allow_user_code, allow_teacher_code)
    with ExitStack() as to_the_end:
        with distributed.agreeing():
            checkpoint = read_checkpoint(folder.last)
            asked = _asked(checkpoint, folder)
            if wanted is not None:
                _check_unchanged(asked, wanted, named_keys)
            training = _reopened(checkpoint, asked, folder, allowed, log, to_the_end)
        return finish(training, log)


def _reopened(
    checkpoint: Checkpoint,
    asked: Recipe,
    folder: RunFolder,
    allowed: Allowed,
    log: RunLog,
    to_the_end: ExitStack,
) -> Training:
    state = TrainingState(**checkpoint.training["state"])
    log.info(f"resuming {folder.path} after epoch {state.epoch}, batch {state.batch}")
    recipe = checkpoint.recipe
    experiment = float_experiment(recipe, allowed.model, log)
    if experiment.dataset.classes != checkpoint.classes:
        raise UserError(
            f"the classes of {experiment.dataset.name} have changed since the run began; "
            "restore the data, or start again without --resume."
        )
    teacher = None
    if recipe.distill.weight > 0:
        teacher = make_teacher(experiment, allowed.teacher, log)
    to_the_end.enter_context(deterministic(recipe))
    to_the_end.enter_context(chosen_backend(recipe, experiment.device, log))
    experiment = restored(checkpoint, folder.last, experiment, log, show=False)
    experiment = decoded(experiment, PARTS, log)
    built = Built(experiment, teacher, make_parts(experiment, teacher, log))
    training = training_of(built, asked, folder, log, make_loggers(built, folder), state)
    if teacher is not None:
        teacher.check_unchanged(checkpoint.training)
    training.restore(checkpoint.training)
    return training


def _asked(checkpoint: Checkpoint, folder: RunFolder) -> Recipe:
    if not checkpoint.training:
        raise UserError(f"{folder.last} holds no training state; it cannot be resumed from.")
    return recipe_from_tree(checkpoint.training["asked"], str(folder.last))


def _check_unchanged(asked: Recipe, wanted: Recipe, keys: Iterable[str]) -> None:
    if wanted.name != asked.name:
        raise UserError(
            f"--resume: the run is of recipe {asked.name!r}, not {wanted.name!r}; "
            "leave --recipe out, or name the folder with --out."
        )
    trees = asked.model_dump(mode="json"), wanted.model_dump(mode="json")
    changed = []
    for key in keys:
        before, now = (_normal(key, _look_up(tree, key)) for tree in trees)
        if before != now:
            changed.append(f"  {key} is {before!r} in the run, {now!r} on the command line")
    if changed:
        raise UserError(
            "a resumed run keeps its recipe; leave these out, or start a new run:\n"
            + "\n".join(changed)
        )


def _look_up(tree: Any, key: str) -> Any:
    for step in key.split("."):
        if isinstance(tree, list) and step.isdecimal() and int(step) < len(tree):
            tree = tree[int(step)]
        else:
            tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def _normal(key: str, value: Any) -> Any:
    if key in ("model.name", "distill.model") and isinstance(value, str):
        return absolute_name(value)
    if key in ("model.weights", "distill.weights", "data.name") and isinstance(value, str):
        return str(Path(value).expanduser().absolute())
    return value
