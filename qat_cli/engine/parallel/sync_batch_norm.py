"""Batch normalisation over the batches of all processes.

Every process computes what one alone would with all of the images. On a GPU torch's SyncBatchNorm
does that; it refuses others, for which there is one here. It combines mean and variance from those
of the processes (Chan et al. 1979), not from sums of squares, which lose digits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from qat_cli.engine.machine import distributed

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def synchronise_batch_norms(model: nn.Module, device: torch.device) -> int:
    """Replace the batch norms inside ``model``; they keep their tensors and names.

    Args:
        model: in one of several processes.
        device: of the model.
    Returns:
        How many were replaced.
    """
    replaced: dict[nn.Module, nn.Module] = {}  # a layer that is used twice stays one layer
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if isinstance(child, _BatchNorm) and type(child) in KINDS:
                if child not in replaced:
                    replaced[child] = synchronised(child, device)
                setattr(parent, name, replaced[child])
    return len(replaced)


def synchronised(layer: _BatchNorm, device: torch.device) -> nn.Module:
    """``layer`` with the statistics of all processes, made of the same tensors."""
    if device.type == "cuda":
        made: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(layer)
        return made.train(layer.training)
    return SyncBatchNorm.of(layer)


class SyncBatchNorm(_BatchNorm):
    """As the batch norm it was made from; in training its statistics are those of all processes.

    Input [N, C, ...], at least two numbers per channel in all processes together. Gradients flow
    through the statistics to the inputs of all processes, which all have to take part.
    """

    @classmethod
    def of(cls, layer: _BatchNorm) -> SyncBatchNorm:
        """Made of the parameters and buffers of ``layer`` themselves, not of copies."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.__dict__.update(layer.__dict__)
        return made

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected an input [N, C, ...], got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        takes_statistics = self.training or self.running_mean is None
        if not takes_statistics:
            return super().forward(input)
        self._check_input_dim(input)
        mean, variance, count = _statistics_of_all(input.detach())
        if self.training and self.track_running_stats:
            self._follow(mean, variance, count)
        normalised: Tensor = _Normalise.apply(
            input, self.weight, self.bias, mean, variance, count, self.eps
        )
        return normalised

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        weight = 1.0 / float(self.num_batches_tracked) if momentum is None else momentum
        unbiased = variance * (count / (count - 1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), weight)


def _statistics_of_all(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [C] and biased variance [C] of each channel, float32 at least, and their count."""
    wide = x if x.dtype == torch.float64 else x.float()
    own_variance, own_mean = torch.var_mean(wide, _all_but_channels(x), correction=0)
    own_count = own_mean.new_tensor([x.numel() / x.shape[1]])
    table = distributed.stacked(torch.cat([own_mean, own_variance, own_count]))
    means, variances = table[:, : x.shape[1]], table[:, x.shape[1] : -1]  # [processes, C]
    counts = table[:, -1:]  # [processes, 1]
    count = counts.sum()
    share = counts / count
    mean = (share * means).sum(0)
    variance = (share * (variances + (means - mean).square())).sum(0)
    return mean, variance, count


def _all_but_channels(x: Tensor) -> list[int]:
    return [dim for dim in range(x.dim()) if dim != 1]


class _Normalise(torch.autograd.Function):
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` with the statistics of all processes.

    With ``z`` the normalised input and averages over the numbers of all processes, the gradient is
    ``weight / sqrt(variance + eps) * (g - average(g) - z * average(g * z))`` to ``x``, and
    ``sum(g * z)`` and ``sum(g)`` over the own numbers to ``weight`` and ``bias``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps), count)
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, weight, mean, per_deviation, count = ctx.saved_tensors
        g = gradients[0]
        shape = [1, -1, *[1] * (x.dim() - 2)]
        dims = _all_but_channels(x)
        centred = x.to(mean.dtype) - mean.view(shape)
        own_sum = g.sum(dims, dtype=mean.dtype)
        own_product = (g * centred).sum(dims) * per_deviation  # sum(g * z)
        sum_all, product_all = distributed.summed(torch.stack([own_sum, own_product])) / count
        scale = per_deviation if weight is None else per_deviation * weight
        back = g - sum_all.view(shape) - centred * (per_deviation * product_all).view(shape)
        to_x = (back * scale.view(shape)).to(x.dtype)
        to_weight = None if weight is None else own_product.to(weight.dtype)
        to_bias = own_sum.to(weight.dtype) if weight is not None else None
        return to_x, to_weight, to_bias, None, None, None, None
