"""Granularities as values: how many elements of a tensor share one scale."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PerTensor:
    """One scale for all elements: shape ``[]``."""


@dataclass(frozen=True)
class PerAxis:
    """One scale per index along ``axis``: shape ``[32, 1, 1, 1]`` for ``[32, 16, 3, 3]``, axis 0.

    Args:
        axis: dimension that the scales lie along; the output channels of a weight.
    """

    axis: int = 0


@dataclass(frozen=True)
class PerRow:
    """One scale for all elements along the last dimension: shape ``[8, 1]`` for ``[8, 64]``."""


@dataclass(frozen=True)
class PerGroup:
    """One scale for ``size`` neighbours along ``axis``: ``[8, 2]`` for ``[8, 64]`` and 32 along 1.

    The last group of each line may be shorter.

    Args:
        axis: dimension along which the groups lie.
        size: elements of a group, at least 1.
    """

    axis: int
    size: int


Granularity = PerTensor | PerAxis | PerRow | PerGroup

#: Kind -> its word, as in ``scaling_per_output_type`` and in files.
NAMES: dict[type[Granularity], str] = {
    PerTensor: "tensor",
    PerAxis: "channel",
    PerRow: "row",
    PerGroup: "group",
}
