"""Batch norms merged into the layers before them.

In evaluation a batch norm is a scale and a shift per channel.
"""

from typing import Any

import torch
from torch import Tensor, nn


def scale_and_shift(
    mean: Tensor, var: Tensor, eps: float, weight: Tensor | None, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """A batch norm as ``x * scale + shift``: ``weight / sqrt(var + eps)``, ``bias - mean * scale``.

    Args:
        mean, var: running statistics, [channels].
        eps: what the batch norm adds to the variance.
        weight, bias: [channels]; None for ones and zeros.
    Returns:
        Two tensors like ``mean``, computed in float64 (float32 on devices without it).
    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 2.
    """
    wide = torch.float32 if mean.device.type == "mps" else torch.float64
    scale = torch.rsqrt(var.to(wide) + eps)
    if weight is not None:
        scale = scale * weight.to(wide)
    shift = -mean.to(wide) * scale
    if bias is not None:
        shift = shift + bias.to(wide)
    return scale.to(mean.dtype), shift.to(mean.dtype)


def of_batch_norm(bn: Any) -> tuple[Tensor, Tensor]:
    """:func:`scale_and_shift` of a module, detached; ValueError without running statistics."""
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(
            f"{type(bn).__name__} has no running statistics (track_running_stats=False), so that "
            f"it is not a fixed scale and shift; leave it as it is."
        )
    with torch.no_grad():
        return scale_and_shift(bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)


def merge_batch_norm(layer: Any, bn: Any) -> None:
    """Change ``layer`` in place so that it gives ``bn(layer(x))``, with ``bn`` in evaluation.

    Args:
        layer: a convolution, transposed convolution or linear layer, of torch or of ``qat.nn``; one
            without a bias gets one.
        bn: ``torch.nn.BatchNorm1d`` or one of its kin, over the layer's output channels.
    Raises:
        ValueError: ``bn`` has no running statistics, or another number of channels.
    """
    scale, shift = of_batch_norm(bn)
    weight = layer.weight
    if scale.numel() != output_channels(layer):
        raise ValueError(
            f"{type(bn).__name__} has {scale.numel()} channels but {type(layer).__name__} gives "
            f"{output_channels(layer)}; merge the batch norm that is right behind the layer."
        )
    with torch.no_grad():
        weight.mul_(_over_weight(scale, layer))
        if layer.bias is not None:
            layer.bias.mul_(scale).add_(shift)
        else:
            layer.bias = nn.Parameter(shift.to(weight.dtype), requires_grad=weight.requires_grad)


def output_channels(layer: Any) -> int:
    """Number of output channels of a layer with a weight."""
    if getattr(layer, "transposed", False):
        return int(layer.weight.shape[1] * layer.groups)
    return int(layer.weight.shape[0])


def _over_weight(per_channel: Tensor, layer: Any) -> Tensor:
    """One number per output channel in a shape that broadcasts to the weight."""
    weight = layer.weight
    ones = (1,) * (weight.dim() - 2)
    if not getattr(layer, "transposed", False):
        return per_channel.reshape(-1, *(1,) * (weight.dim() - 1))
    # [in, out / groups, ...]: the inputs of a group lie one after the other
    by_group = per_channel.reshape(layer.groups, 1, weight.shape[1])
    spread = by_group.expand(-1, weight.shape[0] // layer.groups, -1)
    return spread.reshape(weight.shape[0], weight.shape[1], *ones)
