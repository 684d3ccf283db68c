"""The phases of training, as a function of the epoch alone.

So nothing about phases is saved but the number of the epoch that the weights were last trained in,
and a run that is resumed in the middle goes through the same phases.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from qat.components import hold_statistics, statistics_left
from qat.proxy import QuantProxy
from qat_cli.engine.step.average import NoAverage
from qat_cli.engine.step.bit_width_schedule import set_bit_widths
from qat_cli.engine.step.bit_widths import BitWidths
from qat_cli.engine.step.optimizer import forget, scale_parameters
from qat_cli.recipes import Recipe


@dataclass(frozen=True)
class Phase:
    """The way in which one epoch is trained.

    Args:
        is_float: quantizers are off.
        bit_widths: least bits of weights and activations.
        is_final: everything is quantized as ``quant`` says: the epoch can be the best one.
        holds_batch_norm: running statistics of batch norms stay, and are used.
        holds_scales: learned scales and zero points, and statistics of activations, stay.
    """

    is_float: bool = False
    bit_widths: BitWidths = BitWidths()
    is_final: bool = True
    holds_batch_norm: bool = False
    holds_scales: bool = False

    def set_modes(self, model: nn.Module) -> None:
        """Hold what this phase holds in ``model``, which has just been put into training mode."""
        if self.holds_batch_norm:
            for module in model.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        if self.holds_scales:
            hold_statistics(model)
            for scale in scale_parameters(model):
                scale.requires_grad_(False)


AS_BUILT = Phase()


def phase_of(recipe: Recipe, epoch: int | None) -> Phase:
    """The phase of ``epoch`` (0 is the first); ``None``: of a model that was just built."""
    if epoch is None:
        return AS_BUILT
    schedule = recipe.schedule
    return Phase(
        is_float=epoch < schedule.float_epochs,
        bit_widths=BitWidths.of(schedule.bit_widths, epoch),
        is_final=epoch >= schedule.final_epoch,
        holds_batch_norm=_has_begun(schedule.freeze_batch_norm_epoch, epoch),
        holds_scales=_has_begun(schedule.freeze_scales_epoch, epoch),
    )


def _has_begun(first: int | None, epoch: int) -> bool:
    return first is not None and epoch >= first


def set_quantizers(model: nn.Module, before: Phase, now: Phase) -> list[QuantProxy]:
    """Bring the quantizers of ``model`` from one phase into another.

    Quantizers that are switched on, and those of another bit width, are made anew from the weights
    as they are now; what they learn keeps its identity.

    Returns:
        Those that were made anew.
    Raises:
        ValueError: a quantizer cannot have the bit width of this phase.
    """
    remade = set_bit_widths(model, now.bit_widths) if now.bit_widths != before.bit_widths else []
    if now.is_float == before.is_float:
        return remade
    proxies = [module for module in model.modules() if isinstance(module, QuantProxy)]
    for proxy in proxies:
        proxy.disable_quant = now.is_float
        if not now.is_float:
            proxy.init_tensor_quant()
    return remade if now.is_float else proxies


def enter_phase(
    model: nn.Module, optimizer: Optimizer, average: NoAverage, before: Phase, now: Phase
) -> list[str]:
    """:func:`set_quantizers` in a training run.

    Args:
        model: as it was trained in phase ``before``.
        optimizer: forgets what it knows of parameters whose quantizer is made anew: their
            gradients are of another size on another grid.
        average: of the weights; begins again for those parameters.
    Returns:
        A line for each thing that changes.
    """
    remade = set_quantizers(model, before, now)
    changed = {id(p): p for proxy in remade for p in proxy.parameters()}
    forget(optimizer, changed.values())
    average.begin_again([name for name, p in model.named_parameters() if id(p) in changed])
    return [*_changes(before, now), *_statistics(model, before, now)]


def _changes(before: Phase, now: Phase) -> list[str]:
    lines = []
    if now.is_float and not before.is_float:
        lines.append("float warm-up, quantizers off")
    if before.is_float and not now.is_float:
        lines.append("quantizers on, made from the weights as they are now")
    if now.bit_widths != before.bit_widths:
        lines.append(f"bit widths: {now.bit_widths}")
    if now.holds_batch_norm and not before.holds_batch_norm:
        lines.append("batch norm frozen")
    if now.holds_scales and not before.holds_scales:
        lines.append("scales frozen")
    return lines


def _statistics(model: nn.Module, before: Phase, now: Phase) -> list[str]:
    """A line where statistics of activations begin, or begin again on another grid."""
    begins = before is AS_BUILT or before.is_float or now.bit_widths != before.bit_widths
    left = statistics_left(model) if begins and not now.is_float else 0
    return [f"statistics of activations for {left} batches, then scales are learned"] * (left > 0)
