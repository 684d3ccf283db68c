"""Straight-through (STE) ops: undifferentiable functions with a gradient that trains.

The value is that of the exact function; the gradient is that of a simpler one, the identity for
every ``*_ste`` op (Bengio et al. 2013, arXiv:1308.3432). A straight-through clamp therefore never
stops a gradient: where saturation should, use :func:`tensor_clamp`, here beside its relatives.

Common to all ops: ``x`` is float16, bfloat16, float32 or float64 of any shape, empty and strided
ones included; the result has its shape, dtype, device and memory format; NaN stays NaN. Scalar
bounds are Python numbers, tensor bounds are broadcastable to ``x``, and where ``lo > hi`` the
result is ``hi``.

Each op has a Python implementation, below, and a native one with equal results, bit for bit;
:mod:`qat.ops.table` chooses at each call. Scripted code always calls the registered ``qat::`` op:
call :func:`qat.ops.ensure_registered` before compiling a function or module that uses one.
"""

import torch
from torch import Tensor

from qat import torchscript
from qat.ops.reference import ste as reference
from qat.ops.table import op


@op("round_ste(Tensor x) -> Tensor")
def round_ste(x: Tensor) -> Tensor:
    """Round to the nearest integer, ties to even; gradient: identity.

    Args:
        x: float, any shape.
    Returns:
        Integer-valued, same shape and dtype as ``x``.

    >>> x = torch.tensor([-1.5, 0.5, 0.7], requires_grad=True)
    >>> y = round_ste(x); y.detach()
    tensor([-2.,  0.,  1.])
    >>> y.backward(torch.ones(3)); x.grad
    tensor([1., 1., 1.])
    """
    return reference.RoundSteFn.apply(x)


@op("ceil_ste(Tensor x) -> Tensor")
def ceil_ste(x: Tensor) -> Tensor:
    """Round up, towards plus infinity; gradient: identity.

    Args:
        x: float, any shape.
    Returns:
        Integer-valued, same shape and dtype as ``x``.

    >>> ceil_ste(torch.tensor([-1.5, 0.2]))
    tensor([-1.,  1.])
    """
    return reference.CeilSteFn.apply(x)


@op("floor_ste(Tensor x) -> Tensor")
def floor_ste(x: Tensor) -> Tensor:
    """Round down, towards minus infinity; gradient: identity.

    Args:
        x: float, any shape.
    Returns:
        Integer-valued, same shape and dtype as ``x``.

    >>> floor_ste(torch.tensor([-1.5, 0.2]))
    tensor([-2.,  0.])
    """
    return reference.FloorSteFn.apply(x)


@op("round_to_zero_ste(Tensor x) -> Tensor")
def round_to_zero_ste(x: Tensor) -> Tensor:
    """Drop the fraction, rounding towards zero; gradient: identity.

    Args:
        x: float, any shape.
    Returns:
        Integer-valued, same shape and dtype as ``x``.

    >>> round_to_zero_ste(torch.tensor([-1.7, 1.7]))
    tensor([-1.,  1.])
    """
    return reference.RoundToZeroSteFn.apply(x)


@op("dpu_round_ste(Tensor x) -> Tensor")
def dpu_round_ste(x: Tensor) -> Tensor:
    """Round half to even, but halves below zero up; gradient: identity.

    The value is that of :func:`qat.ops.values.dpu_round`, the rounding of the Xilinx DPU.

    Args:
        x: float, any shape.
    Returns:
        Integer-valued, same shape and dtype as ``x``.

    >>> dpu_round_ste(torch.tensor([-3.5, -1.5, 0.5, 1.5]))
    tensor([-3., -1.,  0.,  2.])
    """
    return reference.DpuRoundSteFn.apply(x)


@op("binary_sign_ste(Tensor x) -> Tensor")
def binary_sign_ste(x: Tensor) -> Tensor:
    """Map to {-1, +1}, both zeros to +1; gradient: identity.

    Args:
        x: float, any shape.
    Returns:
        -1 or +1, same shape and dtype as ``x``.

    >>> binary_sign_ste(torch.tensor([-0.3, -0.0, 0.0, 2.0]))
    tensor([-1.,  1.,  1.,  1.])
    """
    return reference.BinarySignSteFn.apply(x)


@op("ternary_sign_ste(Tensor x) -> Tensor")
def ternary_sign_ste(x: Tensor) -> Tensor:
    """Map to {-1, 0, +1}, both zeros to 0; gradient: identity.

    Args:
        x: float, any shape.
    Returns:
        -1, 0 or +1, same shape and dtype as ``x``.

    >>> ternary_sign_ste(torch.tensor([-0.3, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """
    return reference.TernarySignSteFn.apply(x)


@op("scalar_clamp_ste(Tensor x, float lo, float hi) -> Tensor")
def scalar_clamp_ste(x: Tensor, lo: float, hi: float) -> Tensor:
    """Clamp between two numbers, ``min(max(x, lo), hi)``; gradient: identity, outside as well.

    Args:
        x: float, any shape.
        lo, hi: bounds, ``lo <= hi``.
    Returns:
        Within ``[lo, hi]``, same shape and dtype as ``x``.

    >>> scalar_clamp_ste(torch.tensor([-3.0, 0.5, 3.0]), -1.0, 1.0)
    tensor([-1.0000,  0.5000,  1.0000])
    """
    return reference.ScalarClampSteFn.apply(x, lo, hi)


@op("scalar_clamp_min_ste(Tensor x, float lo) -> Tensor")
def scalar_clamp_min_ste(x: Tensor, lo: float) -> Tensor:
    """Clamp from below, ``max(x, lo)``; gradient: identity, below as well.

    Args:
        x: float, any shape.
        lo: lower bound.
    Returns:
        At least ``lo``, same shape and dtype as ``x``.

    >>> scalar_clamp_min_ste(torch.tensor([-3.0, 3.0]), -1.0)
    tensor([-1.,  3.])
    """
    return reference.ScalarClampMinSteFn.apply(x, lo)


@op("tensor_clamp_ste(Tensor x, Tensor lo, Tensor hi) -> Tensor")
def tensor_clamp_ste(x: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """Clamp between tensors; gradient: identity to ``x``, outside as well, none to the bounds.

    Args:
        x: float, any shape.
        lo, hi: bounds, broadcastable to ``x``, ``lo <= hi``.
    Returns:
        Within ``[lo, hi]``, same shape and dtype as ``x``.

    >>> tensor_clamp_ste(torch.tensor([-3.0, 3.0]), torch.tensor(-1.0), torch.tensor([1.0, 2.0]))
    tensor([-1.,  2.])
    """
    return reference.TensorClampSteFn.apply(x, lo, hi)


@op("tensor_clamp(Tensor x, Tensor lo, Tensor hi) -> Tensor")
def tensor_clamp(x: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """Clamp between tensors with the ordinary gradient, which stops where ``x`` saturates.

    Args:
        x: float, any shape.
        lo, hi: bounds, broadcastable to ``x``, ``lo <= hi``.
    Returns:
        Within ``[lo, hi]``, same shape and dtype as ``x``.
    Gradient: to ``x`` inside the bounds, both included (``torch.clamp`` halves it there), not where
    it is NaN; to ``lo`` where ``x < lo`` and to ``hi`` where ``x > hi``, summed over broadcast
    dimensions.

    >>> x = torch.tensor([-3.0, 1.0, 3.0], requires_grad=True)
    >>> tensor_clamp(x, torch.tensor(-1.0), torch.tensor(1.0)).sum().backward(); x.grad
    tensor([0., 1., 0.])
    """
    return reference.TensorClampFn.apply(x, lo, hi)


def tensor_clamp_ste_(x: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """Clamp ``x`` in place between tensors and return it; gradient as :func:`tensor_clamp_ste`.

    ``x`` keeps its ``grad_fn``: the gradient passes as if nothing had been changed. As with
    torch's own in-place ops, a parameter that gathers gradients is refused (``RuntimeError``):
    clamp a copy.

    Args:
        x: float, any shape.
        lo, hi: bounds, broadcastable to ``x``, ``lo <= hi``.
    Returns:
        ``x`` itself.

    >>> x = torch.tensor([-3.0, 3.0])
    >>> tensor_clamp_ste_(x, torch.tensor(-1.0), torch.tensor(1.0)) is x, x
    (True, tensor([-1.,  1.]))
    """
    if not torchscript.is_scripting():
        _refuse_leaf(x)
    return _clamp_in_place(x, lo, hi)


@op("tensor_clamp_ste_(Tensor(a!) x, Tensor lo, Tensor hi) -> Tensor(a!)")
def _clamp_in_place(x: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    # The change goes through an alias that autograd does not follow, so the gradient of x stays the
    # identity; the alias shares the version counter, so a stale saved tensor is still noticed.
    x.detach().clamp_(lo.detach(), hi.detach())
    return x


def _refuse_leaf(x: Tensor) -> None:
    if torch.compiler.is_compiling():  # where inputs look like leaves and are not
        return
    if x.requires_grad and x.is_leaf and torch.is_grad_enabled():
        raise RuntimeError(
            "tensor_clamp_ste_ would change a parameter (a leaf that requires grad) in place; "
            "use tensor_clamp_ste, or call it under torch.no_grad()."
        )


@op("abs_binary_sign_grad(Tensor x) -> Tensor")
def abs_binary_sign_grad(x: Tensor) -> Tensor:
    """Absolute value whose gradient is that of ``x * binary_sign(x)``: never zero, +1 at ``x = 0``.

    ``torch.abs`` has gradient 0 at 0, where a scale that reached it would stay for ever.

    Args:
        x: float, any shape.
    Returns:
        At least 0, same shape and dtype as ``x``.

    >>> x = torch.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    >>> abs_binary_sign_grad(x).sum().backward(); x.grad
    tensor([-1.,  1.,  1.])
    """
    return reference.AbsBinarySignGradFn.apply(x)


@op("positive_ste(Tensor x, float lo) -> Tensor")
def positive_ste(x: Tensor, lo: float) -> Tensor:
    """``max(|x|, lo)``: :func:`abs_binary_sign_grad`, then :func:`scalar_clamp_min_ste`, in one op.

    Args:
        x: float, any shape.
        lo: lower bound, at least 0.
    Returns:
        At least ``lo``, same shape and dtype as ``x``.
    Gradient: times the sign of ``x``, that of 0 being +1; below the bound as well.

    >>> x = torch.tensor([-2.0, 0.0], requires_grad=True)
    >>> y = positive_ste(x, 0.5); y.detach()
    tensor([2.0000, 0.5000])
    >>> y.sum().backward(); x.grad
    tensor([-1.,  1.])
    """
    return reference.PositiveSteFn.apply(x, lo)
