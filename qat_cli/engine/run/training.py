"""A training: model, step and state, and the loop over epochs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from qat.components import statistics_left
from qat_cli.data import Batches, evaluation_batches, training_batches
from qat_cli.engine.evaluation.diagnosis import check_growth, check_weights
from qat_cli.engine.evaluation.evaluate import evaluate
from qat_cli.engine.evaluation.metrics import Tally
from qat_cli.engine.machine import distributed
from qat_cli.engine.machine.backend import backend_in_use
from qat_cli.engine.machine.randomness import seed_everything
from qat_cli.engine.machine.stop import Stopped, StopSignals
from qat_cli.engine.memory.advice import is_out_of_memory, training_failure
from qat_cli.engine.parallel.replicas import copy_from_first, settle
from qat_cli.engine.parallel.statistics import check_backend, shared_statistics
from qat_cli.engine.parallel.sync_batch_norm import synchronise_batch_norms
from qat_cli.engine.run.kept import Kept, position, process_seed, restore_states
from qat_cli.engine.run.loop import train_epoch
from qat_cli.engine.run.messages import epoch_line, step_note
from qat_cli.engine.run.state import TrainingState
from qat_cli.engine.run.timed_steps import memory_of_step
from qat_cli.engine.setup.experiment import Experiment, example_input, placed
from qat_cli.engine.setup.teacher import Teacher
from qat_cli.engine.step.bit_width_penalty import BitCosts, learned_bit_costs
from qat_cli.engine.step.bit_widths import learns_bit_widths
from qat_cli.engine.step.optimizer import binary_weights
from qat_cli.engine.step.phases import Phase, enter_phase, phase_of
from qat_cli.engine.step.step import Step, make_step
from qat_cli.report import Loggers
from qat_cli.terminal.console import Console
from qat_cli.terminal.ticker import Ticker


@dataclass(frozen=True)
class Parts:
    """Parts of a training that its experiment and its teacher determine.

    Args:
        model: on its device.
        batches: the training part.
        step: over the parameters of ``model``.
        bit_costs: of learned bit widths, if there are any.
    """

    model: nn.Module
    batches: Batches
    step: Step
    bit_costs: BitCosts | None


def make_parts(experiment: Experiment, teacher: Teacher | None, console: Console) -> Parts:
    """Place the model, and make batches and step for it.

    Raises:
        UserError: device, backend or data do not do what the recipe asks for.
    """
    recipe, device = experiment.recipe, experiment.device
    model = placed(experiment)
    costs = None
    if learns_bit_widths(model) or recipe.train.bit_width_penalty > 0:
        image = example_input(experiment.dataset).to(device)
        costs = learned_bit_costs(model, image, recipe.train)
    if distributed.size() > 1:
        check_backend(backend_in_use(recipe))
        if recipe.train.sync_batch_norm:
            synchronise_batch_norms(model, device)
        if not distributed.is_first():
            seed_everything(process_seed(recipe.train.seed), device)
    batches = training_batches(experiment.dataset, recipe, device, distributed.own_share())
    step = make_step(
        recipe, model, batches, costs, None if teacher is None else teacher.model, console
    )
    return Parts(model, batches, step, costs)


class Training:
    """The training of one run.

    Args:
        experiment: data in memory and the model as training starts.
        parts: made of it.
        kept: the checkpoints.
        loggers: told the figures of every epoch.
        log: told about every epoch.
        state: where it stands.
    """

    def __init__(
        self,
        experiment: Experiment,
        parts: Parts,
        kept: Kept,
        loggers: Loggers,
        log: Console,
        state: TrainingState,
    ) -> None:
        self.experiment = experiment
        self.recipe = experiment.recipe
        self.model = parts.model
        self.batches = parts.batches
        self.step = parts.step
        self.bit_costs = parts.bit_costs
        self.kept = kept
        self.loggers = loggers
        self.log = log
        self.state = state

    def restore(self, training: Mapping[str, Any]) -> None:
        """Go on from the ``training`` part of the checkpoint that state and weights are from."""
        began, now = training.get("backend"), backend_in_use(self.recipe)
        if began not in (None, now):
            self.log.warn(f"the run began on backend {began} and goes on with {now}")
        self.step.optimizer.load_state_dict(training["optimizer"])
        self.step.average.load(training.get("average", {}))
        self.step.precision.scaler.load_state_dict(training.get("scaler", {}))
        restore_states(training, self.recipe.train.seed, self.experiment.device)
        batch = position(training, self.batches, self.step.accumulate)
        if batch != self.state.batch:
            self.log.info(
                f"{self.batches.step_images} images are taken at once now: batch "
                f"{self.state.batch} is batch {batch}; the learning rate stays as it was"
            )
            self.state.batch = batch

    def run(self, stop: StopSignals) -> None:
        """Train to the end; ``last.pt`` is where it stands whenever this returns or raises.

        Raises:
            Stopped: ``stop`` has got a signal.
            WorkFailed: the training diverged, or a file cannot be written.
        """
        if distributed.size() > 1:
            copy_from_first(self.model)
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
        if state.epoch >= train.epochs:
            return True
        patience, first = train.early_stopping_patience, self.recipe.schedule.final_epoch
        return patience is not None and state.has_stalled(patience, first)

    def _train_epoch(self, tally: Tally, stop: StopSignals) -> None:
        state, batches = self.state, self.batches
        phase = self._enter_phase()
        statistics_before = statistics_left(self.model)
        seconds_before, started = state.train_seconds, time.monotonic()
        images_before = state.batch * batches.step_images
        steps = train_epoch(self.model, batches, self.step, state.epoch, state.batch, phase)
        label = f"epoch {state.epoch + 1}"
        try:
            with Ticker(self.log, label, batches.images) as ticker, self._statistics():
                for done in steps:
                    for loss, logits, labels in done.outputs:
                        tally.add(loss, logits, labels)
                    seconds = time.monotonic() - started
                    state.batch, state.train_seconds = done.batches, seconds_before + seconds
                    if ticker.is_due:
                        images = min(done.batches * batches.step_images, batches.images)
                        speed = (images - images_before) / seconds
                        left = (self.recipe.train.epochs - state.epoch) * batches.images - images
                        ticker.update(images, step_note(tally.metrics(), speed, left))
                    is_last = done.batches == len(batches)
                    is_to_save = self.kept.is_due(done.batches, len(batches), self.step.accumulate)
                    signal_number = stop.agree()
                    if is_to_save or is_last or signal_number is not None:
                        state.tally = tally.of_all_processes().state()
                    if is_to_save:
                        self._save_last()
                    if signal_number is not None:
                        raise Stopped(signal_number)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            estimate = partial(memory_of_step, self.model, self.step, batches)
            raise training_failure(error, batches, self.step.accumulate, estimate) from error
        if statistics_before > 0 and statistics_left(self.model) == 0:
            self.log.info(f"{label}: statistics over, scales are learned")

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

    def _statistics(self) -> AbstractContextManager[None]:
        return shared_statistics(self.model) if distributed.size() > 1 else nullcontext()

    def _validate(self, tally: Tally, stop: StopSignals) -> None:
        started = time.monotonic()
        settle(self.model)
        train = tally.of_all_processes().metrics()
        check_weights(self.model, self.state.epoch, self.state.batch)
        losses = [row["train_loss"] for row in self.state.history]
        dataset = self.experiment.dataset
        factor = self.recipe.train.divergence_factor
        check_growth(losses, train.loss, len(dataset.classes), factor)
        device, share = self.experiment.device, distributed.own_share()
        batches = evaluation_batches(dataset, "val", self.recipe, device, share)
        with self.step.average.in_place(self.model):
            val = evaluate(self.model, batches, self.log, "validating", stop=stop)
        state, schedule = self.state, self.step.schedule
        last_step = (state.epoch + 1) * schedule.steps_per_epoch - 1
        lr = schedule.lr(last_step, self.recipe.optimizer.lr)
        is_final = phase_of(self.recipe, state.epoch).is_final
        is_best = state.finish_epoch(train, val, lr, time.monotonic() - started, is_final)
        if self.bit_costs is not None:
            state.history[-1] = {**state.history[-1], **self.bit_costs.figures()}
        with self.step.average.in_place(self.model):
            self.kept.save_epoch(state, is_best)
        self._save_last()
        self.loggers.log_epoch(state.history)
        self.log.info(epoch_line(state, self.recipe.train.epochs, is_best))

    def _save_last(self) -> None:
        self.kept.save_last(self.state, self.step, self.batches)
