"""The loss that training minimises: of labels, and of a teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qat_cli.recipes import Recipe

# (model, images, labels) -> (mean loss, logits); see Objective.
LossFunction = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Objective:
    """Cross-entropy of the logits, with ``label_smoothing`` spread over the other classes."""

    label_smoothing: float = 0.0

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One forward pass.

        Args:
            model: in training mode.
            images: float [B, C, H, W], normalised.
            labels: int64 [B]; or float [B, K], a probability for each class.
        Returns:
            The mean loss (scalar) and the logits [B, K].
        """
        logits: Tensor = model(images)
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing), logits


@dataclass(frozen=True)
class Distillation:
    """``(1 - weight) * labels + weight * temperature**2 * KL(teacher || student)``.

    The divergence is that of the softmax of both models' outputs, divided by ``temperature``. Its
    gradient shrinks with the square of the temperature, which the factor makes up for.

    Args:
        labels: the objective without a teacher.
        teacher: in evaluation mode, on the device of the images; its weights do not change.
        weight: in [0, 1].
        temperature: > 0.
    Source: Hinton et al. 2015, arXiv:1503.02531, section 2.
    """

    labels: LossFunction
    teacher: nn.Module
    weight: float
    temperature: float

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One forward pass of both models; arguments and result are those of :class:`Objective`."""
        with torch.no_grad():
            taught = self.teacher(images)
        loss, logits = self.labels(model, images, labels)
        distance = softened_divergence(logits, taught, self.temperature)
        return torch.lerp(loss, distance, self.weight), logits


def softened_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``temperature**2 * KL(softmax(teacher / temperature) || softmax(student / temperature))``.

    Args:
        student, teacher: float [B, K], outputs before the softmax.
        temperature: > 0.
    Returns:
        The mean over the batch, a scalar >= 0, 0 where both have the same softmax.
    """
    own, taught = (F.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    divergence = F.kl_div(own, taught, reduction="batchmean", log_target=True)
    return temperature**2 * divergence


def make_objective(recipe: Recipe, teacher: nn.Module | None) -> LossFunction:
    """The objective of ``recipe``; ``teacher`` is the model that its distillation needs, if any."""
    labels = Objective(recipe.train.label_smoothing)
    if teacher is None:
        return labels
    distill = recipe.distill
    return Distillation(labels, teacher, distill.weight, distill.temperature)
