"""A training run: build it, fit its batch, train, measure."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qat_cli.app.launcher import launched_with
from qat_cli.checkpoint import (
    Checkpoint,
    WeightsFile,
    library_versions,
    read_checkpoint,
    write_checkpoint,
)
from qat_cli.data import evaluation_batches
from qat_cli.engine.evaluation.confusion import ConfusionTally
from qat_cli.engine.evaluation.evaluate import evaluate
from qat_cli.engine.evaluation.float_reference import float_copy, float_figures
from qat_cli.engine.evaluation.metrics import Metrics
from qat_cli.engine.machine import distributed
from qat_cli.engine.machine.backend import backend_in_use, chosen_backend
from qat_cli.engine.machine.randomness import deterministic
from qat_cli.engine.machine.stop import Stopped, StopSignals
from qat_cli.engine.run.auto_batch import with_fitting_batch
from qat_cli.engine.run.kept import Kept
from qat_cli.engine.run.messages import test_line
from qat_cli.engine.run.state import TrainingState
from qat_cli.engine.run.training import Parts, Training, make_parts
from qat_cli.engine.setup.experiment import (
    Experiment,
    decoded,
    float_experiment,
    quantized,
    restore_quantizers,
    with_start_weights,
)
from qat_cli.engine.setup.teacher import Teacher, make_teacher, teacher_config
from qat_cli.errors import Interrupted, WorkFailed
from qat_cli.models import is_user_code
from qat_cli.recipes import Recipe
from qat_cli.report import (
    Loggers,
    RunFolder,
    RunLog,
    RunSummary,
    create_run_folder,
    discarded_on_failure,
    write_confusion,
    write_curves,
    write_recipe,
    write_summary,
)
from qat_cli.terminal.console import Console

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Allowed:
    """Whose code may run, as it was named on the command line: the model's, the teacher's."""

    model: bool = False
    teacher: bool = False


@dataclass(frozen=True)
class FinishedRun:
    """A finished training run: where it is and its outcome."""

    folder: RunFolder
    recipe: Recipe
    summary: RunSummary


@dataclass(frozen=True)
class Built:
    """A run before its first step.

    Args:
        experiment: the model as training starts, and all data in memory.
        teacher: of the recipe's distillation, if it has one.
        parts: made of the two.
        weights: those it starts from, where they are of a quantized model.
        as_float: a copy of the float model, to compare with.
    """

    experiment: Experiment
    teacher: Teacher | None
    parts: Parts
    weights: WeightsFile | None = None
    as_float: Experiment | None = None


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
        WorkFailed: the training diverged, or a file cannot be written.
        Interrupted: a signal came; ``last.pt`` is saved and the message says how to go on.
    """
    if recipe.distill.weight > 0:
        teacher_config(recipe)  # one without weights is said before anything is loaded
    folder = distributed.from_first(lambda: create_run_folder("train", recipe.name, out))
    log = run_log(folder, console)
    allowed = Allowed(allow_user_code, allow_teacher_code)
    with ExitStack() as to_the_end:
        with _discarded_on_failure(folder):
            with distributed.agreeing():
                log.info(f"run folder: {folder.path}")
                built = fit_batch(build(recipe, allowed, log, to_the_end), log)
                loggers = make_loggers(built, folder)
                if distributed.is_first():
                    write_recipe(folder.recipe, built.experiment.recipe, "train")
            state = TrainingState()
            if built.as_float is not None or built.weights is not None:
                dataset = built.experiment.dataset
                state.float_test = float_figures(built.as_float, dataset, built.weights, log)
        return finish(training_of(built, recipe, folder, log, loggers, state), log)


def build(recipe: Recipe, allowed: Allowed, log: Console, to_the_end: ExitStack) -> Built:
    """Data, model, weights, quantizers and optimizer; nothing is trained.

    Args:
        recipe: as loaded.
        allowed: whose code may run.
        log: told what was decided.
        to_the_end: is left when the run is over; the backend is in use until then.
    Raises:
        UserError: an input cannot be used.
    """
    experiment = float_experiment(recipe, allowed.model, log)
    log.info(_description(experiment))
    teacher = None
    if recipe.distill.weight > 0:
        teacher = make_teacher(experiment, allowed.teacher, log)
    to_the_end.enter_context(deterministic(recipe))
    to_the_end.enter_context(chosen_backend(recipe, experiment.device, log))
    weights = with_start_weights(experiment, log)
    as_float = None
    if recipe.quant is not None and recipe.model.weights is not None and weights is None:
        as_float = float_copy(experiment)
    experiment = quantized(experiment, log)
    if weights is not None:
        restore_quantizers(experiment, weights, log)
    experiment = decoded(experiment, PARTS, log)
    return Built(experiment, teacher, make_parts(experiment, teacher, log), weights, as_float)


def fit_batch(built: Built, log: Console) -> Built:
    """With ``train.auto_batch``: the same with the largest batch that fits.

    Raises:
        UserError: several processes share the run.
        WorkFailed: not even one image fits.
    """
    experiment, parts = built.experiment, built.parts
    if not experiment.recipe.train.auto_batch:
        return built
    distributed.refuse_several("train.auto_batch", "give train.batch_size")
    recipe = with_fitting_batch(experiment.recipe, parts.model, parts.step, parts.batches, log)
    experiment = dataclasses.replace(experiment, recipe=recipe)
    parts = make_parts(experiment, built.teacher, log)
    return dataclasses.replace(built, experiment=experiment, parts=parts)


def training_of(
    built: Built,
    asked: Recipe,
    folder: RunFolder,
    log: RunLog,
    loggers: Loggers,
    state: TrainingState,
) -> Training:
    """The training of a run in its folder; ``asked`` is the recipe as it was loaded."""
    experiment = built.experiment
    kept = Kept(folder, experiment, built.parts.model, asked, built.teacher)
    return Training(experiment, built.parts, kept, loggers, log, state)


def finish(training: Training, log: RunLog) -> FinishedRun:
    """Train from where it stands, choose the best checkpoint, measure it on the test part.

    Raises:
        WorkFailed, Interrupted: see :func:`start_run`.
    """
    folder = training.kept.folder
    try:
        with StopSignals() as stop, closing(training.loggers):
            training.run(stop)
            summary = measure(training, stop, log)
    except Stopped as stopped:
        resume = resume_command(folder, training.recipe)
        text = f"interrupted; saved {folder.last}\ngo on with: {resume}"
        raise _noted(Interrupted(text, stopped.signal_number), log) from None
    except WorkFailed as failed:
        text = f"{failed}\nThe last good state is {folder.last}."
        raise _noted(WorkFailed(text), log) from failed
    if distributed.is_first():
        write_summary(folder.summary, summary.to_json())
    return FinishedRun(folder, training.recipe, summary)


def measure(training: Training, stop: StopSignals, log: RunLog) -> RunSummary:
    """Measure the best checkpoint on the test part, write its figures and pictures.

    ``last.pt`` stays as it is.
    """
    experiment, state, folder = training.experiment, training.state, training.kept.folder
    recipe, name = experiment.recipe, experiment.recipe.name
    best = distributed.from_first(lambda: read_checkpoint(folder.best))
    training.model.load_state_dict(best.weights)
    tally = ConfusionTally(experiment.device, len(best.classes))
    share = distributed.own_share()
    batches = evaluation_batches(experiment.dataset, "test", recipe, experiment.device, share)
    test = evaluate(training.model, batches, log, "testing", tally, stop)
    counts = tally.counts()
    if distributed.is_first():
        write_checkpoint(folder.best, _with_figures(best, test, state.float_test))
        write_curves(folder.curves, state.history, name, state.best_epoch)
        title = test_line(f"{name}, epoch {state.best_epoch}", test)
        write_confusion(folder.confusion, counts, best.classes, title)
    return _summary(training, test, log)


def _with_figures(best: Checkpoint, test: Metrics, float_test: Mapping[str, Any]) -> Checkpoint:
    as_float = {"float_test": dict(float_test)} if float_test else {}
    metrics = {**best.metrics, "test": test.as_dict(), **as_float}
    return dataclasses.replace(best, metrics=metrics)


def _summary(training: Training, test: Metrics, log: RunLog) -> RunSummary:
    recipe, state, folder = training.recipe, training.state, training.kept.folder
    learned: dict[str, Any] = {}
    if training.bit_costs is not None:
        bits = training.bit_costs.by_quantizer()
        learned = {**training.bit_costs.figures(), "bit_widths": bits}
        rows = [(name, str(count)) for name, count in bits.items()]
        log.table("bit widths as learned", ("quantizer", "bits"), rows)
    return RunSummary(
        command="train",
        recipe=recipe.name,
        model=recipe.model.name,
        data=recipe.data.name,
        device=str(training.experiment.device),
        run=str(folder.path),
        checkpoint=str(folder.best),
        test=test,
        weights=recipe.model.weights,
        backend=backend_in_use(recipe),
        processes=distributed.size(),
        precision=recipe.train.precision,
        deterministic=recipe.train.deterministic,
        epochs=recipe.train.epochs,
        epochs_trained=state.epoch,
        best_epoch=state.best_epoch,
        val=Metrics(**state.best_val),
        float_test=Metrics(**state.float_test) if state.float_test else None,
        parameters=sum(parameter.numel() for parameter in training.model.parameters()),
        seconds=state.seconds,
        versions=library_versions(),
        **learned,
    )


def run_log(folder: RunFolder, console: Console) -> RunLog:
    """The log of a run; only the first of several processes writes it."""
    return RunLog(console, folder.log if distributed.is_first() else Path(os.devnull))


def make_loggers(built: Built, folder: RunFolder) -> Loggers:
    """The loggers of a run; only the first of several processes has any.

    Raises:
        UserError: a package that one of them needs is not installed.
    """
    logger = built.experiment.recipe.train.logger
    return Loggers(logger if distributed.is_first() else None, folder)


def resume_command(folder: RunFolder, recipe: Recipe) -> str:
    """The command line that goes on with a run."""
    words = ["qat", "train", *launched_with(), "--resume", "--out", str(folder.path)]
    name, teacher = recipe.model.name, recipe.distill.model
    if is_user_code(name):
        words += ["--model", name]
    if teacher is not None and is_user_code(teacher):
        words.append(f"distill.model={teacher}")
    return shlex.join(words)


def _noted(error: Exception, log: RunLog) -> Exception:
    with suppress(WorkFailed):  # a full disk is what the error is about
        log.note(f"error: {error}")  # the command says it; the file should end with it too
    return error


def _discarded_on_failure(folder: RunFolder) -> AbstractContextManager[None]:
    return discarded_on_failure(folder) if distributed.is_first() else nullcontext()


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
