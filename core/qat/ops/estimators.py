"""Quantizers whose gradient is an estimate of its own, as published by name.

The plain straight-through gradients are those of :mod:`qat.ops.fake_quantize`. Common to all here:
``x`` is float16, bfloat16, float32 or float64 of any shape, empty and strided ones included; the
other tensors are broadcastable to it; the result has its shape, and its dtype or the wider one of a
scale of one dimension or more. NaN stays NaN. For the backward pass only ``x`` is kept.

There is no kernel of their own: the same torch ops run on every backend and device.
"""

import torch
from torch import Tensor

from qat import torchscript
from qat.ops.reference import estimators as estimators_python


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
    if torchscript.is_scripting():
        return torch.ops.qat.estimated_binary_quantize(x, scale, gradient, sharpness)
    return estimators_python.estimated_binary_quantize(x, scale, gradient, sharpness)


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
    if torchscript.is_scripting():
        return torch.ops.qat.two_sided_ternary_quantize(x, threshold, positive, negative, scaled)
    return estimators_python.two_sided_ternary_quantize(x, threshold, positive, negative, scaled)


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
    if torchscript.is_scripting():
        return torch.ops.qat.pact_fake_quantize(x, bound, scale, qmax)
    return estimators_python.pact_fake_quantize(x, bound, scale, qmax)


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
    if torchscript.is_scripting():
        return torch.ops.qat.scaled_gradient(x, factor)
    return estimators_python.scaled_gradient(x, factor)
