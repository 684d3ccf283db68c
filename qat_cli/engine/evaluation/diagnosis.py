"""Signs of a diverged training, and the layer where it shows first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qat_cli.engine.machine import distributed
from qat_cli.engine.step.precision import Precision
from qat_cli.errors import WorkFailed

ADVICE = "Lower optimizer.lr, add schedule.warmup_epochs, or set optimizer.clip_grad_norm."


def check_finite(
    loss: float, model: nn.Module, images: Tensor, epoch: int, batch: int, precision: Precision
) -> None:
    """Raise :class:`WorkFailed` if ``loss`` is NaN or infinite, naming what went wrong first."""
    if math.isfinite(loss):
        return
    with precision.autocast(), distributed.alone():  # others may not have gone wrong
        where = find_non_finite(model, images)
    raise WorkFailed(
        f"training diverged: the loss is {loss} in epoch {epoch + 1}, batch {batch + 1}; "
        f"{where}. {ADVICE}"
    )


def check_weights(model: nn.Module, epoch: int, batch: int) -> None:
    """Refuse weights that are NaN or infinite, before they are saved over good ones.

    A step can make them so although its loss was finite: its gradients were not. Waits for a GPU
    once.

    Args:
        model: its parameters are looked at.
        epoch, batch: where the training stands; batches done of the epoch, 0 being the first.
    Raises:
        WorkFailed: names the first parameter.
    """
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.numel() > 0}
    if not parameters:
        return
    largest = torch.stack(torch._foreach_norm(list(parameters.values()), ord=math.inf))
    is_finite = torch.isfinite(largest)
    if not is_finite.all():
        name = list(parameters)[is_finite.tolist().index(False)]
        raise WorkFailed(
            f"training diverged: {name!r} holds numbers that are not finite after epoch "
            f"{epoch + 1}, batch {batch}; the gradients of a step were not finite. {ADVICE}"
        )


def check_growth(losses: Sequence[float], loss: float, classes: int, factor: float | None) -> None:
    """Refuse a mean training loss of an epoch that says that the model has learned the wrong way.

    Args:
        losses: of the epochs before.
        loss: of the epoch just trained.
        classes: of the data; guessing has the loss ``log(classes)``.
        factor: how many times the loss of the first epoch, or of guessing where that is more, the
            loss may be; ``None``: any.
    Raises:
        WorkFailed: it is more.
    """
    if factor is None or not losses:
        return
    reference = max(losses[0], math.log(classes))
    if loss > factor * reference:
        raise WorkFailed(
            f"training diverged: the mean loss of epoch {len(losses) + 1} is {loss:.4g}, more than "
            f"{factor:g} times what the first epoch, or guessing, has ({reference:.4g}). {ADVICE} "
            "train.divergence_factor=null goes on all the same."
        )


def find_non_finite(model: nn.Module, images: Tensor) -> str:
    """Say what is first NaN or infinite when ``images`` go through ``model``.

    Looks at the images, then at the model's own numbers, then at the output of every layer in the
    order in which they run. The model's statistics may change; it is meant for a failed run.
    """
    if not torch.isfinite(images).all():
        return "the images themselves hold numbers that are not finite"
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, Tensor) and tensor.is_floating_point():
            if not torch.isfinite(tensor).all():
                return f"{name!r} holds numbers that are not finite since an earlier step"
    found = _first_non_finite_layer(model, images)
    return found or "every layer's output is finite, only the loss is not"


def _first_non_finite_layer(model: nn.Module, images: Tensor) -> str | None:
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            value = getattr(output, "value", output)  # a QuantTensor has its numbers in there
            if isinstance(value, Tensor) and not torch.isfinite(value).all():
                kind = type(module).__name__
                found.append(f"layer {name!r} ({kind}) is the first whose output is not finite")

        return hook

    handles = [m.register_forward_hook(watch(name)) for name, m in model.named_modules() if name]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
