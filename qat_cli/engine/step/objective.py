"""What training minimises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

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
