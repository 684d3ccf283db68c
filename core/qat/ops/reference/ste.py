"""Straight-through ops in Python: the reference that the native ones must equal.

Each is a ``torch.autograd.Function``; :mod:`qat.ops.ste` declares and documents the ops.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qat.ops.values import binary_sign, dpu_round, smallest_normal, ternary_sign


class StraightThroughFn(Function):
    """Hands the gradient of its output to its one input unchanged."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class RoundSteFn(StraightThroughFn):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)


class CeilSteFn(StraightThroughFn):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.ceil(x)


class FloorSteFn(StraightThroughFn):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x)


class RoundToZeroSteFn(StraightThroughFn):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.trunc(x)


class DpuRoundSteFn(StraightThroughFn):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return dpu_round(x)


class BinarySignSteFn(StraightThroughFn):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return binary_sign(x)


class TernarySignSteFn(StraightThroughFn):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return ternary_sign(x)


class ScalarClampSteFn(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lo: float, hi: float) -> Tensor:
        return torch.clamp(x, lo, hi)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad, None, None


class ScalarClampMinSteFn(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lo: float) -> Tensor:
        return torch.clamp_min(x, lo)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class TensorClampSteFn(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
        return torch.clamp(x, lo, hi).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad, None, None


class TensorClampFn(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
        ctx.save_for_backward(x, lo, hi)
        return torch.clamp(x, lo, hi).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, lo, hi = ctx.saved_tensors
        below, above = x < lo, x > hi
        to_x = to_lo = to_hi = None
        if ctx.needs_input_grad[0]:
            to_x = torch.where(torch.logical_and(x >= lo, x <= hi), grad, 0.0)
        if ctx.needs_input_grad[1]:
            to_lo = torch.where(below, grad, 0.0).sum_to_size(lo.shape)
        if ctx.needs_input_grad[2]:
            to_hi = torch.where(above, grad, 0.0).sum_to_size(hi.shape)
        return to_x, to_lo, to_hi


class AbsBinarySignGradFn(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.abs(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * binary_sign(x)


class PositiveSteFn(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lo: float) -> Tensor:
        ctx.save_for_backward(x)
        return torch.abs(x).clamp_min_(lo)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad * binary_sign(x), None


class ScaleFromThresholdFn(Function):
    @staticmethod
    def forward(ctx: Any, threshold: Tensor, int_range: Tensor) -> Tensor:
        ctx.save_for_backward(threshold, int_range)
        return torch.div(threshold, int_range).clamp_min_(smallest_normal(threshold))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        threshold, int_range = ctx.saved_tensors
        to_threshold = to_range = None
        quotient = grad / int_range
        if ctx.needs_input_grad[0]:
            to_threshold = quotient.sum_to_size(threshold.shape)
        if ctx.needs_input_grad[1]:
            to_range = (-quotient * (threshold / int_range)).sum_to_size(int_range.shape)
        return to_threshold, to_range
