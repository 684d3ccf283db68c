"""Python implementation of the quantizers with an estimated gradient, each with one tensor saved.

The public functions with their documentation are in :mod:`qat.ops.estimators`. They run on every
backend and device; ``torch.ops.qat`` holds them for TorchScript. Temporaries are changed in place:
each is made here and seen by nobody else.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qat.enums import SignGradient, lookup
from qat.ops.dtypes import arithmetic_dtype, result_dtype
from qat.ops.values import binary_sign


def _straight(grad: Tensor, x: Tensor, scale: Tensor, sharpness: Tensor) -> Tensor:
    return grad


def _clip(grad: Tensor, x: Tensor, scale: Tensor, sharpness: Tensor) -> Tensor:
    return torch.where(torch.abs(x) <= 1, grad * scale, 0.0)


def _approx_sign(grad: Tensor, x: Tensor, scale: Tensor, sharpness: Tensor) -> Tensor:
    slope = torch.abs(x).mul_(-2).add_(2).clamp_min_(0)  # the triangle from -1 over 2 to 1
    return slope.mul_(scale).mul_(grad)


def _ede(grad: Tensor, x: Tensor, scale: Tensor, sharpness: Tensor) -> Tensor:
    height = torch.clamp(1 / sharpness, min=1) * sharpness  # k * t
    slope = torch.mul(x, sharpness).tanh_().square_().neg_().add_(1)
    return slope.mul_(height).mul_(scale).mul_(grad)


def _xnor(grad: Tensor, x: Tensor, scale: Tensor, sharpness: Tensor) -> Tensor:
    own_share = scale.numel() / max(x.numel(), 1)  # 1 / n, of the n elements that share a scale
    return torch.where(torch.abs(x) <= 1, scale, 0.0).add_(own_share).mul_(grad)


#: By name: ``(grad, x, scale, sharpness)`` -> gradient to ``x`` of ``sign(x) * scale``.
SIGN_GRADIENTS: Mapping[SignGradient, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    SignGradient.STRAIGHT: _straight,
    SignGradient.CLIP: _clip,
    SignGradient.APPROX_SIGN: _approx_sign,
    SignGradient.EDE: _ede,
    SignGradient.XNOR: _xnor,
}


class EstimatedBinaryFn(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, gradient: str, sharpness: Tensor) -> Tensor:
        ctx.save_for_backward(x, scale, sharpness)
        ctx.gradient = gradient
        return binary_sign(x) * scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, sharpness = ctx.saved_tensors
        to_x = to_scale = None
        if ctx.needs_input_grad[0]:
            to_x = lookup(SIGN_GRADIENTS, ctx.gradient, "gradient")(grad, x, scale, sharpness)
            to_x = to_x.to(x.dtype)
        if ctx.needs_input_grad[1]:
            to_scale = binary_sign(x).mul(grad).sum_to_size(scale.shape).to(scale.dtype)
        return to_x, to_scale, None, None


class TwoSidedTernaryFn(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, threshold: Tensor, positive: Tensor, negative: Tensor, scaled: bool
    ) -> Tensor:
        ctx.save_for_backward(x, threshold, positive, negative)
        ctx.scaled = scaled
        inner = torch.clamp(x, 0, 0)  # 0, and NaN where x is
        return torch.where(x > threshold, positive, torch.where(x < -threshold, -negative, inner))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, threshold, positive, negative = ctx.saved_tensors
        above, below = x > threshold, x < -threshold
        to_x = to_positive = to_negative = None
        if ctx.needs_input_grad[0]:
            to_x = grad
            if ctx.scaled:
                outer = torch.where(below, grad * negative, grad)
                to_x = torch.where(above, grad * positive, outer)
            to_x = to_x.to(x.dtype)
        if ctx.needs_input_grad[2]:
            to_positive = torch.where(above, grad, 0.0).sum_to_size(positive.shape)
        if ctx.needs_input_grad[3]:
            to_negative = torch.where(below, -grad, 0.0).sum_to_size(negative.shape)
        return to_x, None, to_positive, to_negative, None


class PactFn(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: Tensor, scale: Tensor, qmax: Tensor) -> Tensor:
        ctx.save_for_backward(x, bound)
        wide = arithmetic_dtype(x, scale)
        q = torch.div(x.to(wide), scale).round_()
        y = torch.clamp(q, torch.zeros_like(qmax), qmax).mul_(scale)
        return y.to(result_dtype(x, scale))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, bound = ctx.saved_tensors
        wide = x.to(arithmetic_dtype(x, bound))
        to_x = to_bound = None
        if ctx.needs_input_grad[0]:
            inside = torch.logical_and(wide > 0, wide < bound)  # not of NaN
            to_x = torch.where(inside, grad, 0.0).to(x.dtype)
        if ctx.needs_input_grad[1]:
            above = torch.where(wide >= bound, grad.to(wide.dtype), 0.0)
            to_bound = above.sum_to_size(bound.shape).to(bound.dtype)
        return to_x, to_bound, None, None


class ScaledGradientFn(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.factor, None


estimated_binary_quantize = EstimatedBinaryFn.apply
two_sided_ternary_quantize = TwoSidedTernaryFn.apply
pact_fake_quantize = PactFn.apply
scaled_gradient = ScaledGradientFn.apply

#: Schemas of the registered ops and their implementations.
OPS = {
    "estimated_binary_quantize(Tensor x, Tensor scale, str gradient, Tensor sharpness) -> Tensor": (
        estimated_binary_quantize
    ),
    "two_sided_ternary_quantize(Tensor x, Tensor threshold, Tensor positive, Tensor negative, "
    "bool scaled) -> Tensor": two_sided_ternary_quantize,
    "pact_fake_quantize(Tensor x, Tensor bound, Tensor scale, Tensor qmax) -> Tensor": (
        pact_fake_quantize
    ),
    "scaled_gradient(Tensor x, float factor) -> Tensor": scaled_gradient,
}
