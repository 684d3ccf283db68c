"""A training run: epochs, validation, checkpoints, resumption, and the final measurement."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from qat.components import statistics_left
from qat_cli.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from qat_cli.data import Batches, evaluation_batches, training_batches
from qat_cli.engine.evaluation.confusion import ConfusionTally
from qat_cli.engine.evaluation.diagnosis import check_growth, check_weights
from qat_cli.engine.evaluation.metrics import Metrics, Tally
from qat_cli.engine.machine import distributed
from qat_cli.engine.machine.backend import backend_in_use
from qat_cli.engine.machine.randomness import seed_everything
from qat_cli.engine.machine.stop import Stopped, StopSignals
from qat_cli.engine.memory.advice import training_explained
from qat_cli.engine.parallel import states as together
from qat_cli.engine.parallel.replicas import copy_from_first, settle
from qat_cli.engine.parallel.statistics import check_backend, shared_statistics
from qat_cli.engine.parallel.sync_batch_norm import synchronise_batch_norms
from qat_cli.engine.run.kept import keep_best_epochs, saves_after
from qat_cli.engine.run.loop import evaluate, train_one_epoch
from qat_cli.engine.run.messages import epoch_line, step_note, test_line
from qat_cli.engine.run.state import TrainingState
from qat_cli.engine.run.timed_steps import memory_of_step
from qat_cli.engine.setup.experiment import Experiment, example_input, placed
from qat_cli.engine.setup.make_step import step_of_run
from qat_cli.engine.setup.teacher import Teacher
from qat_cli.engine.step.bit_width_penalty import learned_bit_costs
from qat_cli.engine.step.optimizer import binary_weights
from qat_cli.engine.step.phases import Phase, enter_phase, phase_of
from qat_cli.errors import Interrupted, WorkFailed
from qat_cli.recipes import Recipe
from qat_cli.report import Loggers, RunFolder, RunLog, write_confusion, write_curves
from qat_cli.terminal.ticker import Ticker


@dataclass(frozen=True)
class Outcome:
    """What a finished run found: figures of the best checkpoint, when it was the best, how many
    epochs were trained, and figures of the float model that training started from, if known."""

    best_epoch: int
    val: Metrics
    test: Metrics
    seconds: float
    epochs: int
    float_test: Metrics | None


class TrainingRun:
    """One run in its folder.

    Args:
        experiment: data in memory and the model as training starts.
        asked: the recipe as it was before the data's own choices were written out.
        folder: where everything goes.
        log: told about every epoch.
        resume_command: shown when the run is interrupted.
        teacher: what the recipe's distillation learns from; ``None`` without one.
    """

    def __init__(
        self,
        experiment: Experiment,
        asked: Recipe,
        folder: RunFolder,
        log: RunLog,
        resume_command: str,
        teacher: Teacher | None = None,
    ) -> None:
        self.experiment = experiment
        self.recipe = experiment.recipe
        self.asked = asked
        self.folder = folder
        self.log = log
        self.resume_command = resume_command
        self.teacher = teacher
        self.state = TrainingState()
        check_backend(backend_in_use(self.recipe))
        self.loggers = Loggers(self.recipe.train.logger if distributed.is_first() else None, folder)
        self.model = placed(experiment)
        train = self.recipe.train
        image = example_input(experiment.dataset).to(experiment.device)
        self.bit_costs = learned_bit_costs(self.model, image, train)
        if train.sync_batch_norm:
            synchronise_batch_norms(self.model)
        self.train_batches = training_batches(
            experiment.dataset, self.recipe, experiment.device, distributed.own_share()
        )
        if not distributed.is_first():
            seed_everything(together.process_seed(train.seed), experiment.device)
        self.step = step_of_run(
            experiment, self.model, len(self.train_batches), self.bit_costs, teacher, log
        )

    def restore(self, training: Mapping[str, Any]) -> None:
        """Go on from the ``training`` part of a checkpoint whose weights the model already has."""
        began, now = training.get("backend"), backend_in_use(self.recipe)
        if began not in (None, now):
            self.log.warn(f"the run began on backend {began} and goes on with {now}")
        if self.teacher is not None:
            self.teacher.check_unchanged(training)
        self.state = TrainingState(**training["state"])
        self.step.optimizer.load_state_dict(training["optimizer"])
        self.step.average.load(training.get("average", {}))
        self.step.precision.scaler.load_state_dict(training.get("scaler", {}))
        together.restore_states(training, self.recipe.train.seed, self.experiment.device)
        batch = together.position(training, self.train_batches, self.step.accumulate)
        if batch != self.state.batch:
            self.log.info(
                f"{self.train_batches.step_images} images are taken at once now: batch "
                f"{self.state.batch} is batch {batch}; the learning rate stays as it was"
            )
            self.state.batch = batch

    def run(self) -> Outcome:
        """Train to the end, choose the best checkpoint, measure it on the test part.

        Raises:
            Interrupted: a signal came; ``last.pt`` is saved and the message says how to go on.
            WorkFailed: the loss is not finite, or a file cannot be written.
        """
        with StopSignals() as stop, closing(self.loggers):
            try:
                copy_from_first(self.model)
                self._train(stop)
                return self._measure_best(stop)  # last.pt is complete here, and stays as it is
            except Stopped as stopped:
                raise Interrupted(
                    f"interrupted; saved {self.folder.last}\ngo on with: {self.resume_command}",
                    stopped.signal_number,
                ) from None
            except WorkFailed as failed:
                raise WorkFailed(
                    f"{failed}\nThe last good state is {self.folder.last}."
                ) from failed

    def _train(self, stop: StopSignals) -> None:
        try:
            self._save_last()
            while not self._is_over():
                tally = Tally(self.experiment.device)
                if distributed.is_first():  # the sums of all processes
                    tally.load(self.state.tally)
                self._train_epoch(tally, stop)
                self._validate(tally, stop)
        except Stopped:
            self._save_last()
            raise

    def _is_over(self) -> bool:
        train, state = self.recipe.train, self.state
        first = self.recipe.schedule.final_epoch
        patience = train.early_stopping_patience
        return state.epoch >= train.epochs or state.has_stalled(patience, first)

    def _enter_phase(self) -> Phase:
        """Bring the quantizers into the phase of this epoch, and say what is new in it."""
        state = self.state
        phase = phase_of(self.recipe, state.epoch)
        if state.phase_epoch != state.epoch:
            before = phase_of(self.recipe, state.phase_epoch)
            step = self.step
            for line in enter_phase(self.model, step.optimizer, step.average, before, phase):
                self.log.info(f"epoch {state.epoch + 1}: {line}")
            state.phase_epoch = state.epoch
        self.step = dataclasses.replace(self.step, latent=binary_weights(self.model))
        return phase

    def _train_epoch(self, tally: Tally, stop: StopSignals) -> None:
        state, batches = self.state, self.train_batches
        phase = self._enter_phase()
        seconds_before, started = state.train_seconds, time.monotonic()
        images_before = state.batch * batches.step_images
        every = self.recipe.checkpoint.every_steps

        statistics_before = statistics_left(self.model)
        with (
            Ticker(self.log, f"epoch {state.epoch + 1}", batches.images) as ticker,
            shared_statistics(self.model),
        ):

            def on_step(done: int) -> None:
                seconds = time.monotonic() - started
                state.batch, state.train_seconds = done, seconds_before + seconds
                if ticker.is_due:
                    images = min(done * batches.step_images, batches.images)
                    speed = (images - images_before) / seconds
                    images_left = (self.recipe.train.epochs - state.epoch) * batches.images - images
                    ticker.update(images, step_note(tally.metrics(), speed, images_left))
                signal_number = stop.agree()
                is_to_save = saves_after(done, len(batches), self.step.accumulate, every)
                if signal_number is not None or is_to_save or done == len(batches):
                    state.tally = tally.of_all_processes().state()  # also to stop while validating
                if is_to_save:
                    self._save_last()
                if signal_number is not None:
                    raise Stopped(signal_number)

            estimate = partial(memory_of_step, self.model, self.step, batches)
            with training_explained(batches, self.step.accumulate, estimate):
                train_one_epoch(
                    self.model,
                    batches,
                    state.epoch,
                    state.batch,
                    self.step,
                    tally,
                    ticker,
                    on_step,
                    phase,
                )
        if statistics_before > 0 and statistics_left(self.model) == 0:
            self.log.info(f"epoch {state.epoch + 1}: statistics over, scales are learned")

    def _validate(self, tally: Tally, stop: StopSignals) -> None:
        started = time.monotonic()
        settle(self.model)
        train = tally.of_all_processes().metrics()
        check_weights(self.model, self.state.epoch, self.state.batch)
        losses = [row["train_loss"] for row in self.state.history]
        classes = len(self.experiment.dataset.classes)
        check_growth(losses, train.loss, classes, self.recipe.train.divergence_factor)
        with self.step.average.in_place(self.model):
            val = evaluate(self.model, self._batches("val"), self.log, "validating", stop.check)
        state, schedule = self.state, self.step.schedule
        last_step = (state.epoch + 1) * schedule.steps_per_epoch - 1
        lr = schedule.lr(last_step, self.recipe.optimizer.lr)
        is_final = phase_of(self.recipe, state.epoch).is_final
        seconds = time.monotonic() - started
        is_best = state.finish_epoch(train, val, lr, seconds, is_final)
        if self.bit_costs is not None:
            state.history[-1] = {**state.history[-1], **self.bit_costs.figures()}
        top_k, first = self.recipe.checkpoint.top_k, self.recipe.schedule.final_epoch
        with self.step.average.in_place(self.model):
            if is_best:
                self._write(self.folder.best)
            keep_best_epochs(state, top_k, first, self.folder, self._write)
        self._save_last()
        self.loggers.log_epoch(state.history)
        self.log.info(epoch_line(state, self.recipe.train.epochs, is_best))

    def _measure_best(self, stop: StopSignals) -> Outcome:
        best = distributed.from_first(lambda: read_checkpoint(self.folder.best))
        self.model.load_state_dict(best.weights)
        tally = ConfusionTally(self.experiment.device, len(best.classes))
        test = evaluate(self.model, self._batches("test"), self.log, "testing", stop.check, tally)
        counts = tally.counts()
        state, name = self.state, self.recipe.name
        as_float = {"float_test": dict(state.float_test)} if state.float_test else {}
        metrics = {**best.metrics, "test": test.as_dict(), **as_float}
        if distributed.is_first():
            write_checkpoint(self.folder.best, dataclasses.replace(best, metrics=metrics))
            write_curves(self.folder.curves, state.history, name, state.best_epoch)
            title = test_line(f"{name}, epoch {state.best_epoch}", test)
            write_confusion(self.folder.confusion, counts, best.classes, title)
        return Outcome(
            state.best_epoch,
            Metrics(**state.best_val),
            test,
            state.seconds,
            state.epoch,
            Metrics(**state.float_test) if state.float_test else None,
        )

    def _batches(self, part: str) -> Batches:
        share = distributed.own_share()
        experiment = self.experiment
        return evaluation_batches(experiment.dataset, part, self.recipe, experiment.device, share)

    def _save_last(self) -> None:
        check_weights(self.model, self.state.epoch, self.state.batch)
        training = {
            "state": dataclasses.asdict(self.state),
            "optimizer": self.step.optimizer.state_dict(),
            "average": self.step.average.state(),
            "scaler": self.step.precision.scaler.state_dict(),
            **together.states_to_save(self.train_batches),
            "backend": backend_in_use(self.recipe),
            "teacher": self.teacher and self.teacher.digest,
            "asked": self.asked.model_dump(mode="json"),
        }
        self._write(self.folder.last, training)

    def _write(self, path: Path, training: Mapping[str, Any] | None = None) -> None:
        if distributed.is_first():
            write_checkpoint(path, self._checkpoint(training or {}))

    def _checkpoint(self, training: Mapping[str, Any]) -> Checkpoint:
        return Checkpoint(
            recipe=self.recipe,
            weights=self.model.state_dict(),
            classes=self.experiment.dataset.classes,
            input_shape=self.experiment.dataset.shape,
            metrics={
                "epoch": self.state.epoch,
                "phase_epoch": self.state.phase_epoch,
                "val": self.state.val,
            },
            training=training,
        )
