"""Quantizers with an estimated gradient, as published by name.

The plain straight-through gradients are those of :mod:`qat.ops.fake_quantize`. Common to all here:
``x`` is float16, bfloat16, float32 or float64 of any shape, empty and strided ones included; the
other tensors are broadcastable to it; the result has its shape, and its dtype or the wider one of a
scale of one dimension or more. NaN stays NaN. For the backward pass only ``x`` is kept.

There is no kernel of their own: the same torch ops run on every backend and device. Temporaries are
changed in place: each is made here and seen by nobody else.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qat.enums import SignGradient, lookup
from qat.ops.dtypes import arithmetic_dtype, result_dtype
from qat.ops.table import op
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


@op(
    "estimated_binary_quantize(Tensor x, Tensor scale, str gradient, Tensor sharpness) -> Tensor",
    native=False,
)
def estimated_binary_quantize(x: Tensor, scale: Tensor, gradient: str, sharpness: Tensor) -> Tensor:
    """``sign(x) * scale`` with ``sign(0) = 1`` and the gradient to ``x`` named ``gradient``.

    Args:
        x: float, any shape.
        scale: float, positive, broadcastable to ``x``.
        gradient: :class:`qat.enums.SignGradient`, or its name.
        sharpness: ``t`` of ``"ede"``, 0-dimensional, positive; other gradients do not read it.
    Returns:
        Shape of ``x``, ``-scale`` or ``+scale``.
    Gradient: to ``x`` the incoming one times

        - ``"straight"``: 1, through the product (DoReFa-Net, arXiv:1606.06160, eq. 8);
        - ``"clip"``: ``scale`` where ``|x| <= 1``, else 0 (Hubara et al., arXiv:1602.02830, eq. 4;
          times the magnitude it is that of Bi-Real net's weights, arXiv:1808.00278, section 3.3);
        - ``"approx_sign"``: ``scale * max(2 - 2 |x|, 0)`` (Bi-Real net, arXiv:1808.00278, section
          3.3);
        - ``"ede"``: ``scale * k * t * (1 - tanh(t x)^2)`` with ``k = max(1 / t, 1)`` (IR-Net,
          arXiv:1909.10788, section 3.3);
        - ``"xnor"``: ``1 / n + scale`` where ``|x| <= 1``, else ``1 / n``, for the ``n`` elements
          that share a scale (XNOR-Net, arXiv:1603.05279).

        To ``scale``, summed: ``sign(x)``.

    >>> x, one = torch.tensor([-0.25, 0.75, 2.0], requires_grad=True), torch.tensor(1.0)
    >>> y = estimated_binary_quantize(x, one, "approx_sign", one); y.detach()
    tensor([-1.,  1.,  1.])
    >>> y.sum().backward(); x.grad
    tensor([1.5000, 0.5000, 0.0000])
    """
    return EstimatedBinaryFn.apply(x, scale, gradient, sharpness)


@op(
    "two_sided_ternary_quantize(Tensor x, Tensor threshold, Tensor positive, Tensor negative, "
    "bool scaled) -> Tensor",
    native=False,
)
def two_sided_ternary_quantize(
    x: Tensor, threshold: Tensor, positive: Tensor, negative: Tensor, scaled: bool
) -> Tensor:
    """``positive`` where ``x > threshold``, ``-negative`` where ``x < -threshold``, else 0.

    Args:
        x: float, any shape.
        threshold: float, at least 0, broadcastable to ``x``.
        positive, negative: the scale of either side, broadcastable to ``x``.
        scaled: whether the gradient to ``x`` is multiplied by the scale of its side.
    Returns:
        Shape of ``x``.
    Gradient: to ``x`` that of the identity; with ``scaled`` times ``positive`` above, times
        ``negative`` below, unchanged between the thresholds. To ``positive`` the sum of the
        gradients above, to ``negative`` the negated sum of those below (the paper gives that of
        ``-negative``). None to ``threshold``.
    Source: TTQ, arXiv:1612.01064.

    >>> x, half = torch.tensor([-0.7, 0.2, 3.0]), torch.tensor(0.5)
    >>> two_sided_ternary_quantize(x, half, torch.tensor(2.0), torch.tensor(1.0), True)
    tensor([-1.,  0.,  2.])
    """
    return TwoSidedTernaryFn.apply(x, threshold, positive, negative, scaled)


@op(
    "pact_fake_quantize(Tensor x, Tensor bound, Tensor scale, Tensor qmax) -> Tensor",
    native=False,
)
def pact_fake_quantize(x: Tensor, bound: Tensor, scale: Tensor, qmax: Tensor) -> Tensor:
    """``scale * clamp(round(x / scale), 0, qmax)`` with ``scale = bound / qmax``.

    Args:
        x: float, any shape.
        bound: float, positive, broadcastable to ``x``: the largest result.
        scale: ``bound / qmax``, positive; gets no gradient.
        qmax: the largest integer, 0-dimensional.
    Returns:
        Shape of ``x``, on the grid.
    Gradient: to ``x`` that of the identity where ``0 < x < bound``, else 0. To ``bound``, summed:
        1 where ``x >= bound``, else 0 (PACT, arXiv:1805.06085, eq. 3).

    >>> x, one = torch.tensor([-1.0, 0.3, 5.0]), torch.tensor(1.0)
    >>> pact_fake_quantize(x, 2 * one, 0.5 * one, 4 * one)
    tensor([0.0000, 0.5000, 2.0000])
    """
    return PactFn.apply(x, bound, scale, qmax)


@op("scaled_gradient(Tensor x, float factor) -> Tensor", native=False)
def scaled_gradient(x: Tensor, factor: float) -> Tensor:
    """``x`` itself; the gradient is multiplied by ``factor``.

    Args:
        x: float, any shape.
        factor: any number.
    Returns:
        A view of ``x``.
    Source: LSQ, arXiv:1902.08153, section 2.2.

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> y = scaled_gradient(x, 0.5); y.backward(); y.item(), x.grad.item()
    (3.0, 0.5)
    """
    return ScaledGradientFn.apply(x, factor)
