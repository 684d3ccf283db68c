"""Masks of attention scores: numbers to add, positions to block."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Mask:
    """Numbers that a mask adds to the scores, and positions that it blocks.

    The two are apart so that scores can be quantized between them: minus infinity lies on no grid.

    Args:
        added: float, broadcastable to the scores [..., L, S], or None.
        blocked: bool likewise, True where nothing passes, or None.
    """

    def __init__(self, added: Tensor | None, blocked: Tensor | None) -> None:
        self.added = added
        self.blocked = blocked

    @classmethod
    def of(cls, mask: Tensor | None) -> "Mask":
        """From a float mask, whose minus infinities block, or a bool one, True where blocked."""
        if mask is None or mask.dtype == torch.bool:
            return cls(None, mask)
        blocked = torch.isneginf(mask)
        return cls(mask.masked_fill(blocked, 0.0), blocked)

    def joined(self, other: "Mask") -> "Mask":
        """Both masks at once."""
        added = _joined(self.added, other.added, torch.add)
        return Mask(added, _joined(self.blocked, other.blocked, torch.logical_or))

    def add_to(self, scores: Tensor) -> Tensor:
        """``scores`` with what is added to them; what blocks is left to :meth:`softmax`."""
        return scores if self.added is None else scores + self.added.to(scores.dtype)

    def softmax(self, scores: Tensor) -> Tensor:
        """Over the last dimension; zeros where blocked, also where a whole row is."""
        if self.blocked is None:
            return torch.softmax(scores, dim=-1)
        # A row that is blocked as a whole would be NaN, and its gradient too.
        nothing_passes = self.blocked.all(dim=-1, keepdim=True)
        scores = scores.masked_fill(self.blocked & ~nothing_passes, -math.inf)
        return torch.softmax(scores, dim=-1).masked_fill(nothing_passes, 0.0)


def _joined(a: Any, b: Any, join: Callable[[Any, Any], Any]) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return join(a, b)
