"""The optimizer step that a recipe describes, for the model of a run."""

from __future__ import annotations

from torch import nn

from qat_cli.engine.setup.distillation import make_objective
from qat_cli.engine.setup.experiment import Experiment
from qat_cli.engine.setup.teacher import Teacher
from qat_cli.engine.step.average import NoAverage, WeightAverage
from qat_cli.engine.step.bit_width_penalty import BitCosts, with_penalty
from qat_cli.engine.step.compiled import compiled_where_asked
from qat_cli.engine.step.optimizer import binary_weights, make_optimizer
from qat_cli.engine.step.precision import Precision
from qat_cli.engine.step.schedule import Schedule
from qat_cli.engine.step.step import Step
from qat_cli.terminal.console import Console


def step_of_run(
    experiment: Experiment,
    model: nn.Module,
    batches: int,
    bit_costs: BitCosts | None,
    teacher: Teacher | None,
    console: Console,
) -> Step:
    """What every step of a run has in common.

    Args:
        experiment: gives the recipe and the device.
        model: on the device; the optimizer is over its parameters.
        batches: of an epoch.
        bit_costs: of learned bit widths, if there are any.
        teacher: what the recipe's distillation learns from; ``None`` without one.
        console: told that the model is compiled.
    Raises:
        UserError: the device cannot compute in the precision asked for, or the model cannot be
            compiled here.
    """
    recipe, train = experiment.recipe, experiment.recipe.train
    objective = compiled_where_asked(make_objective(recipe, teacher), recipe, console)
    return Step(
        objective=with_penalty(objective, bit_costs, train),
        optimizer=make_optimizer(model, recipe.optimizer),
        schedule=Schedule(recipe.schedule, -(-batches // train.accumulate), train.epochs),
        clip_grad_norm=recipe.optimizer.clip_grad_norm,
        latent_clip=train.latent_clip,
        latent=binary_weights(model),
        accumulate=train.accumulate,
        precision=Precision(train.precision, experiment.device),
        average=NoAverage() if train.ema_decay is None else WeightAverage(train.ema_decay),
    )
