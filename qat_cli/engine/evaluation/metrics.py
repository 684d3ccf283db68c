"""Loss and accuracy of a classifier over many batches."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from qat_cli.engine.machine import distributed
from qat_cli.report import Metrics as Metrics


def best_classes(logits: Tensor) -> Tensor:
    """Indices of the five highest outputs, best first: [B, K] -> int64 [B, min(5, K)]."""
    return logits.detach().topk(min(5, logits.shape[1])).indices


class Tally:
    """Sums kept on the device of the batches; reading them is left to :meth:`metrics`.

    Reading waits for a GPU, so the training loop does it now and then, not in every step.
    """

    def __init__(self, device: torch.device) -> None:
        precise = torch.float32 if device.type == "mps" else torch.float64
        self._loss = torch.zeros((), dtype=precise, device=device)
        self._hits = torch.zeros(2, dtype=torch.int64, device=device)  # top-1, top-5
        self.images = 0

    @torch.no_grad()
    def add(self, mean_loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count one batch.

        Args:
            mean_loss: scalar, averaged over the batch.
            logits: float [B, K].
            labels: int64 [B]; or float [B, K], a probability for each class, of which the most
                probable one counts as the label.
        """
        if labels.ndim == 2:
            labels = labels.argmax(1)
        self._loss += mean_loss.detach() * len(labels)
        hit = best_classes(logits) == labels[:, None]
        self._hits += torch.stack([hit[:, 0].sum(), hit.sum()])
        self.images += len(labels)

    def of_all_processes(self) -> Tally:
        """The sums over all processes, exact; those of one alone are itself."""
        if distributed.size() == 1:
            return self
        sums = torch.stack([self._loss.double(), *self._hits.double()]).cpu()
        sums = torch.cat([sums, sums.new_tensor([self.images])])
        loss, top1, top5, images = distributed.summed(sums)
        whole = Tally(self._loss.device)
        whole.load({"loss": loss, "hits": torch.stack([top1, top5]), "images": int(images)})
        return whole

    def metrics(self) -> Metrics:
        """The averages so far."""
        images = max(self.images, 1)
        top1, top5 = (100 * hits / images for hits in self._hits.tolist())
        return Metrics(self._loss.item() / images, top1, top5, self.images)

    def state(self) -> dict[str, object]:
        """Plain values from which :meth:`load` restores the sums exactly."""
        return {"loss": self._loss.cpu(), "hits": self._hits.cpu(), "images": self.images}

    def load(self, state: Mapping[str, object]) -> None:
        """Go on from what :meth:`state` returned; an empty mapping is a fresh start."""
        if not state:
            return
        self._loss.copy_(state["loss"])  # type: ignore[arg-type]
        self._hits.copy_(state["hits"])  # type: ignore[arg-type]
        self.images = int(state["images"])  # type: ignore[call-overload]
