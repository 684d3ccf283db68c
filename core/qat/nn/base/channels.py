"""The check that a scale per channel is that of the channels its statistic is taken of."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from qat.enums import ScalingImplType, ScalingPerOutputType
from qat.inject import ExtendedInjector

#: What the check reads; a quantizer that lacks one of them is resolved in a way of its own.
_NEEDED = ("scaling_per_output", "scaling_shape", "scaling_impl_type", "permute_dims")
_FROM_STATISTICS = (ScalingImplType.STATS, ScalingImplType.PARAMETER_FROM_STATS)


def check_channels(
    layers: Sequence[nn.Module], argument: str, quant: type[ExtendedInjector]
) -> None:
    """Refuse a scale per channel of a weight or bias whose statistic is of other channels.

    Args:
        layers: the layers that share the quantizer, in the order of sharing.
        argument: the argument of the last one that it came as: ``"weight_quant"``.
        quant: the quantizer.
    Raises:
        ValueError: the scale and the statistic differ in shape.
    """
    role = argument.removesuffix("_quant")
    parameter = getattr(layers[-1], role, None)
    if not isinstance(parameter, Tensor) or any(name not in quant for name in _NEEDED):
        return
    bound: Any = quant.let(module=layers[0] if len(layers) == 1 else tuple(layers))
    if bound.scaling_per_output != ScalingPerOutputType.CHANNEL:
        return
    if str(bound.scaling_impl_type).lower() not in _FROM_STATISTICS:
        return
    shape, dim = tuple(bound.scaling_shape), (bound.permute_dims or (0,))[0]
    missing = (1,) * (parameter.dim() - len(shape))
    measured = tuple(size if at == dim else 1 for at, size in enumerate(parameter.shape))
    if (*missing, *shape) != measured:
        raise ValueError(
            f"the scale of a {role} of shape {tuple(parameter.shape)} has the shape {shape}, but "
            f"its statistic {measured}, one entry for each of dimension {dim}: leave "
            f"{role}_per_channel_broadcastable_shape out, or give "
            f"{role}_scaling_stats_permute_dims, the dimension of the scale's channels first."
        )
