"""Splitting labelled images so that every class keeps its share."""

from __future__ import annotations

import torch
from torch import Tensor


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split positions into (kept, held back), class by class.

    Of a class with n images, ``round(n * fraction)`` are held back, at least one and at most
    n - 1; a class with a single image is kept whole. The same arguments give the same split.

    Args:
        labels: int64 [N].
        fraction: in (0, 1).
        seed: chooses which images are held back.
    Returns:
        Two int64 tensors of positions, each ascending, together ``0 .. N-1``.
    """
    generator = torch.Generator().manual_seed(seed)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        count = min(max(1, round(len(members) * fraction)), len(members) - 1)
        order = torch.randperm(len(members), generator=generator)
        held[members[order[:count]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()
