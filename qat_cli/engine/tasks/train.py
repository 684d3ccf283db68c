"""A training run from its start, or from where it stopped, to its summary."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qat_cli.app.launcher import launched_with
from qat_cli.checkpoint import Checkpoint, WeightsFile, library_versions, read_checkpoint
from qat_cli.engine.evaluation.float_reference import float_copy, float_figures
from qat_cli.engine.machine import distributed
from qat_cli.engine.machine.backend import backend_in_use, chosen_backend
from qat_cli.engine.machine.randomness import deterministic
from qat_cli.engine.run.auto_batch import with_fitting_batch
from qat_cli.engine.run.training import Outcome, TrainingRun
from qat_cli.engine.setup.experiment import (
    Experiment,
    decoded,
    float_experiment,
    quantized,
    restore_quantizers,
    restored,
    with_start_weights,
)
from qat_cli.engine.setup.teacher import make_teacher, teacher_config
from qat_cli.errors import Interrupted, UserError, WorkFailed
from qat_cli.models import absolute_name, is_user_code
from qat_cli.recipes import Recipe, recipe_from_tree
from qat_cli.report import (
    RunFolder,
    RunLog,
    create_run_folder,
    discarded_on_failure,
    write_recipe,
    write_summary,
)
from qat_cli.terminal.console import Console

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class FinishedRun:
    """A finished training run: where it is and what it found."""

    folder: RunFolder
    recipe: Recipe
    outcome: Outcome
    summary: dict[str, Any]


@distributed.joined()
def start_run(
    recipe: Recipe,
    out: Path | None,
    allow_user_code: bool,
    console: Console,
    allow_teacher_code: bool = False,
) -> FinishedRun:
    """Train as ``recipe`` says, in a new run folder.

    Args:
        recipe: as loaded.
        out: the folder; ``None`` for the next one below ``runs/train``.
        allow_user_code: the user named the model on the command line.
        console: told what is found and done; the run folder's log gets all of it.
        allow_teacher_code: the user named ``distill.model`` on the command line.
    Raises:
        UserError: an input cannot be used; the folder is removed again.
        WorkFailed, Interrupted: see :meth:`TrainingRun.run`.
    """
    teacher_config(recipe)  # a missing teacher is said before anything is loaded
    folder = distributed.from_first(lambda: create_run_folder("train", recipe.name, out))
    log = _log(folder, console)
    with ExitStack() as to_the_end:
        with _discarded_on_failure(folder):
            with distributed.agreeing():
                log.info(f"run folder: {folder.path}")
                built = build_run(
                    recipe, folder, log, allow_user_code, allow_teacher_code, to_the_end
                )
                run = built.run
                if distributed.is_first():
                    write_recipe(folder.recipe, run.recipe, "train")
            dataset = run.experiment.dataset
            run.state.float_test = float_figures(built.as_float, dataset, built.weights, log)
        return _finish(run)


@dataclass(frozen=True)
class BuiltRun:
    """A run before its first step, and what the float model's figures are found from."""

    run: TrainingRun
    as_float: Experiment | None
    weights: WeightsFile | None


def build_run(
    recipe: Recipe,
    folder: RunFolder,
    log: RunLog,
    allow_user_code: bool,
    allow_teacher_code: bool,
    to_the_end: ExitStack,
) -> BuiltRun:
    """Everything that a run needs: data, model, weights, quantizers, optimizer; nothing trained.

    Args:
        recipe: as loaded.
        folder: of the run.
        log: told what was decided.
        allow_user_code, allow_teacher_code: see :func:`start_run`.
        to_the_end: is left when the run is over; the backend is in use until then.
    Raises:
        UserError: an input cannot be used.
        WorkFailed: ``train.auto_batch`` finds no batch that fits.
    """
    experiment = float_experiment(recipe, allow_user_code, log)
    log.info(_description(experiment))
    teacher = make_teacher(experiment, allow_teacher_code, log)
    to_the_end.enter_context(deterministic(recipe))
    to_the_end.enter_context(chosen_backend(recipe, experiment.device, log))
    weights = with_start_weights(experiment, log)
    as_float = float_copy(experiment, weights)
    experiment = quantized(experiment, log)
    if weights is not None:
        restore_quantizers(experiment, weights, log)
    experiment = decoded(experiment, PARTS, log)
    again = _resume_command(folder, experiment)
    run = TrainingRun(experiment, recipe, folder, log, again, teacher)
    if recipe.train.auto_batch:
        distributed.refuse_several("train.auto_batch", "give train.batch_size")
        fitting = with_fitting_batch(run.recipe, run.model, run.step, run.train_batches, log)
        experiment = dataclasses.replace(experiment, recipe=fitting)
        run = TrainingRun(experiment, recipe, folder, log, again, teacher)
    return BuiltRun(run, as_float, weights)


@distributed.joined()
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
    """
    with ExitStack() as to_the_end:
        with distributed.agreeing():
            run = _reopened(
                folder,
                wanted,
                named_keys,
                (allow_user_code, allow_teacher_code),
                _log(folder, console),
                to_the_end,
            )
        return _finish(run)


def _reopened(
    folder: RunFolder,
    wanted: Recipe | None,
    named_keys: Iterable[str],
    allowed_code: tuple[bool, bool],  # of the model, of the teacher
    log: RunLog,
    to_the_end: ExitStack,
) -> TrainingRun:
    allow_user_code, allow_teacher_code = allowed_code
    checkpoint = read_checkpoint(folder.last)
    asked = _asked(checkpoint, folder)
    if wanted is not None:
        _check_unchanged(asked, wanted, named_keys)
    state = checkpoint.training["state"]
    log.info(f"resuming {folder.path} after epoch {state['epoch']}, batch {state['batch']}")
    experiment = float_experiment(checkpoint.recipe, allow_user_code, log)
    if experiment.dataset.classes != checkpoint.classes:
        raise UserError(
            f"the classes of {experiment.dataset.name} have changed since the run began; "
            "restore the data, or start again without --resume."
        )
    teacher = make_teacher(experiment, allow_teacher_code, log)
    to_the_end.enter_context(deterministic(checkpoint.recipe))
    to_the_end.enter_context(chosen_backend(checkpoint.recipe, experiment.device, log))
    experiment = restored(checkpoint, folder.last, experiment, log, show=False)
    experiment = decoded(experiment, PARTS, log)
    run = TrainingRun(experiment, asked, folder, log, _resume_command(folder, experiment), teacher)
    run.restore(checkpoint.training)
    return run


def _log(folder: RunFolder, console: Console) -> RunLog:
    return RunLog(console, folder.log if distributed.is_first() else Path(os.devnull))


def _discarded_on_failure(folder: RunFolder) -> AbstractContextManager[None]:
    return discarded_on_failure(folder) if distributed.is_first() else nullcontext()


def _finish(run: TrainingRun) -> FinishedRun:
    try:
        outcome = run.run()
    except (WorkFailed, Interrupted) as error:
        with suppress(WorkFailed):  # a full disk is what the error is about
            run.log.note(f"error: {error}")  # the command says it; the file should end with it too
        raise
    if run.bit_costs is not None:
        rows = [(name, str(bits)) for name, bits in run.bit_costs.by_quantizer().items()]
        run.log.table("bit widths as learned", ("quantizer", "bits"), rows)
    summary = _summary(run, outcome)
    if distributed.is_first():
        write_summary(run.folder.summary, summary)
    return FinishedRun(run.folder, run.recipe, outcome, summary)


def _summary(run: TrainingRun, outcome: Outcome) -> dict[str, Any]:
    recipe, test = run.recipe, outcome.test
    return {
        "command": "train",
        "recipe": recipe.name,
        "model": recipe.model.name,
        "data": recipe.data.name,
        "device": str(run.experiment.device),
        "processes": distributed.size(),
        "backend": backend_in_use(recipe),
        "precision": recipe.train.precision,
        "deterministic": recipe.train.deterministic,
        "run": str(run.folder.path),
        "checkpoint": str(run.folder.best),
        "epochs": recipe.train.epochs,
        "epochs_trained": outcome.epochs,
        "stopped_early": outcome.epochs < recipe.train.epochs,
        "best_epoch": outcome.best_epoch,
        "top1": test.top1,
        "top5": test.top5,
        "loss": test.loss,
        "images": test.images,
        "val": outcome.val.as_dict(),
        "test": test.as_dict(),
        "float_test": outcome.float_test and outcome.float_test.as_dict(),
        **_learned_bits(run),
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "seconds": outcome.seconds,
        "versions": library_versions(),
    }


def _learned_bits(run: TrainingRun) -> dict[str, Any]:
    """Mean bit widths, and that of each quantizer, of the best checkpoint, where any is learned."""
    if run.bit_costs is None:
        return {}
    return {**run.bit_costs.figures(), "bit_widths": run.bit_costs.by_quantizer()}


def _description(experiment: Experiment) -> str:
    dataset = experiment.dataset
    size = "x".join(map(str, dataset.shape))
    counts = ", ".join(f"{len(dataset.part(part))} {part}" for part in PARTS)
    return (
        f"data {dataset.name}: {counts}; {len(dataset.classes)} classes, images {size}; "
        f"device {experiment.device}{_processes()}"
    )


def _processes() -> str:
    count = distributed.size()
    return f"; {count} processes, each with batches of train.batch_size" if count > 1 else ""


def _resume_command(folder: RunFolder, experiment: Experiment) -> str:
    words = ["qat", "train", *launched_with(), "--resume", "--out", str(folder.path)]
    name, teacher = experiment.recipe.model.name, experiment.recipe.distill.model
    if is_user_code(name):
        words += ["--model", name]
    if teacher is not None and is_user_code(teacher):
        words.append(f"distill.model={teacher}")
    return shlex.join(words)


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
