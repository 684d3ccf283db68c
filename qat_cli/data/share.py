"""The share of one process in the batches of several."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Share:
    """Share ``index`` (0 is the first) of ``count``."""

    index: int = 0
    count: int = 1

    def size(self, images: int) -> int:
        """How many of a batch of ``images`` are its own; shares differ by one at most."""
        return images // self.count + (self.index < images % self.count)

    def of_each(self, batches: tuple[Tensor, ...]) -> list[Tensor]:
        """Its part of every batch, for training: all processes make a step together."""
        return [batch.tensor_split(self.count)[self.index] for batch in batches]

    def whole(self, batches: tuple[Tensor, ...]) -> list[Tensor]:
        """Every ``count``-th batch, for evaluation: each is the batch that it would be alone, so
        that its figures are the same to the last bit."""
        return list(batches[self.index :: self.count])


WHOLE = Share()
