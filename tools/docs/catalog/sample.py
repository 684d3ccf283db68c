"""Samples of quantizers: complete, so that they can be built and described."""

from typing import Any

from torch import nn

from qat.enums import Role, ScalingImplType, ScalingPerOutputType, member
from qat.quantizers.resolve.roles import role_of

#: A bound for the scale of a sample that starts at one.
BOUND = 1.0
_FROM_BOUNDS = (ScalingImplType.CONST, ScalingImplType.PARAMETER)


def for_sample(quantizer: Any, layer: nn.Linear | None = None) -> Any:
    """``quantizer`` with what it leaves to its user: a module, bounds, channels, where groups lie.

    Args:
        quantizer: a ready-made quantizer, or a copy with changes.
        layer: the module, of whose inputs there is a scale each where an activation has one per
            channel; a linear layer of 64 inputs unless given.
    """
    layer = nn.Linear(64, 4) if layer is None else layer
    bound = quantizer.let(module=layer)
    if role_of(quantizer) is not Role.ACTIVATION:
        return bound
    if starts_at_bounds(bound):
        bound = bound.let(min_val=word(bound, "min_val", None) or -BOUND, max_val=BOUND)
    granularity = word(bound, "scaling_per_output")
    if granularity is ScalingPerOutputType.GROUP and bound.let(module=None).group_dim is None:
        bound = bound.let(group_dim=-1)
    if granularity is ScalingPerOutputType.CHANNEL:
        if "per_channel_broadcastable_shape" not in bound:
            sizes = (1, layer.in_features, *[1] * (dimensions(bound) - 2))
            bound = bound.let(per_channel_broadcastable_shape=sizes)
    return bound


def dimensions(bound: Any) -> int:
    """How many dimensions an activation has that ``bound`` is for; 2 where it takes any."""
    order = word(bound, "scaling_stats_permute_dims")
    return len(order) if isinstance(order, tuple) else 2


def starts_at_bounds(bound: Any) -> bool:
    """Whether the scale of an activation starts at bounds that the declaration leaves open."""
    if member(ScalingImplType, word(bound, "scaling_impl_type")) not in _FROM_BOUNDS:
        return False
    is_open = any(word(bound, name) is None for name in ("min_val", "max_val"))
    return is_open and word(bound, "scaling_const") is None


def word(bound: Any, name: str, default: Any = None) -> Any:
    """An attribute of the declaration, or ``default`` where there is none."""
    return getattr(bound, name) if name in bound else default
