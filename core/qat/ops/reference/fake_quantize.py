"""Fused quantizers in Python: few torch ops, with one tensor saved.

The ops are declared here, with flat arguments; :mod:`qat.ops.fake_quantize` documents them.
Temporaries are changed in place: each is made here and seen by nobody else. Scale and zero point
come in the type that is computed in (:mod:`qat.ops.dtypes`), ``x`` as it is; ``dtype`` is that of
the result.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qat.ops.dtypes import arithmetic_dtype, result_dtype
from qat.ops.int_grid import max_int, min_int
from qat.ops.reference.ste import PositiveSteFn, ScaleFromThresholdFn
from qat.ops.table import OPS, op
from qat.ops.values import binary_sign, ternary_sign

Bound = float | None


def bounded(x: Tensor, lo: Bound, hi: Bound) -> Tensor:
    """The activation function in front of a quantizer, forward only: a clamp.

    The gradient of a clamp passes at a bound; that of the quantizers stops there.
    """
    return x if lo is None and hi is None else torch.clamp(x, lo, hi)


def _stopped_by_activation(grad: Tensor, x: Tensor, lo: Bound, hi: Bound) -> Tensor:
    if lo is not None:
        grad = grad.masked_fill(x <= lo, 0.0)
    if hi is not None:
        grad = grad.masked_fill(x >= hi, 0.0)
    return grad


def _steps(x: Tensor, scale: Tensor, lo: Bound, hi: Bound) -> Tensor:
    """``bounded(x) / scale``, a new tensor in the type of ``scale``."""
    if lo is None and hi is None:
        return x.to(scale.dtype) / scale
    return torch.clamp(x, lo, hi).to(scale.dtype).div_(scale)


def _values(x: Tensor, scale: Tensor, lo: Bound, hi: Bound) -> Tensor:
    """``bounded(x)`` in the type of ``scale``."""
    return bounded(x, lo, hi).to(scale.dtype)


class IntFakeQuantizeFn(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        zero_point: Tensor,
        bit_width: Tensor,
        signed: bool,
        narrow_range: bool,
        clipped: bool,
        lo: Bound,
        hi: Bound,
        dtype: torch.dtype,
    ) -> Tensor:
        ctx.save_for_backward(x, scale, zero_point, bit_width)
        ctx.signed, ctx.narrow_range, ctx.clipped = signed, narrow_range, clipped
        ctx.lo, ctx.hi = lo, hi
        q = _steps(x, scale, lo, hi).round_().add_(zero_point)
        qmin = min_int(signed, narrow_range, bit_width).to(q.dtype)
        qmax = max_int(signed, narrow_range, bit_width).to(q.dtype)
        return torch.clamp(q, qmin, qmax).sub_(zero_point).mul_(scale).to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, zero_point, bit_width = ctx.saved_tensors
        needs_x, needs_scale, needs_zero_point, needs_bit_width = ctx.needs_input_grad[:4]
        steps = _steps(x, scale, ctx.lo, ctx.hi)
        free = torch.round(steps).add_(zero_point)
        qmin = min_int(ctx.signed, ctx.narrow_range, bit_width).to(free.dtype)
        qmax = max_int(ctx.signed, ctx.narrow_range, bit_width).to(free.dtype)
        q = torch.clamp(free, qmin, qmax)
        stops = q != free  # NaN stops as well
        to_x = to_scale = to_zero_point = to_bit_width = None
        if needs_x:
            passed = grad.masked_fill(stops, 0.0) if ctx.clipped else grad
            to_x = _stopped_by_activation(passed, x, ctx.lo, ctx.hi).to(x.dtype)
        if ctx.clipped and (needs_zero_point or needs_bit_width):
            by_step = grad.to(scale.dtype) * scale
            to_low = torch.where(q > free, by_step, 0.0)
            to_high = torch.where(q < free, by_step, 0.0)
            if needs_zero_point:
                to_zero_point = (to_low + to_high).neg_().sum_to_size(zero_point.shape)
            if needs_bit_width:
                slope = math.log(2.0) * 2 ** (bit_width - 1 if ctx.signed else bit_width)
                reach = to_high - to_low if ctx.signed else to_high
                to_bit_width = reach.sum_to_size(bit_width.shape) * slope
        if needs_scale:
            if ctx.clipped:
                steps.masked_fill_(stops, 0.0)
            per_step = q.sub_(zero_point).sub_(steps)
            to_scale = per_step.mul_(grad).sum_to_size(scale.shape)
        return to_x, to_scale, to_zero_point, to_bit_width, None, None, None, None, None, None


class BinaryFakeQuantizeFn(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        clipped: bool,
        lo: Bound,
        hi: Bound,
        dtype: torch.dtype,
    ) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.clipped, ctx.lo, ctx.hi = clipped, lo, hi
        return binary_sign(_values(x, scale, lo, hi)).mul_(scale).to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale = ctx.saved_tensors
        v = _values(x, scale, ctx.lo, ctx.hi)
        by_scale = grad.to(scale.dtype) * scale
        to_x = to_scale = None
        if ctx.clipped:
            inside = torch.logical_and(v >= -scale, v <= scale)
        if ctx.needs_input_grad[0]:
            passed = by_scale
            if ctx.clipped:
                passed = torch.where(inside, passed, 0.0)
            to_x = _stopped_by_activation(passed, x, ctx.lo, ctx.hi).to(x.dtype)
        if ctx.needs_input_grad[1]:
            per_scale = grad * binary_sign(v)
            if ctx.clipped:  # the bounds of the clamp are -scale and scale
                per_scale = per_scale * torch.where(inside, 1.0, 1.0 + scale)
            to_scale = per_scale.sum_to_size(scale.shape)
        return to_x, to_scale, None, None, None, None


class TernaryFakeQuantizeFn(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        threshold: float,
        lo: Bound,
        hi: Bound,
        dtype: torch.dtype,
    ) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.threshold, ctx.lo, ctx.hi = threshold, lo, hi
        v = _values(x, scale, lo, hi)
        zero = v.abs() <= threshold * scale
        return ternary_sign(v).masked_fill_(zero, 0.0).mul_(scale).to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale = ctx.saved_tensors
        v = _values(x, scale, ctx.lo, ctx.hi)
        zero = v.abs() <= ctx.threshold * scale
        to_x = to_scale = None
        if ctx.needs_input_grad[0]:
            passed = (grad.to(scale.dtype) * scale).masked_fill_(zero, 0.0)
            to_x = _stopped_by_activation(passed, x, ctx.lo, ctx.hi).to(x.dtype)
        if ctx.needs_input_grad[1]:
            to_scale = (grad * ternary_sign(v)).masked_fill_(zero, 0.0).sum_to_size(scale.shape)
        return to_x, to_scale, None, None, None, None


_GRID = "Tensor zero_point, Tensor bit_width, bool signed, bool narrow_range"
_BOUNDS = "float? lo=None, float? hi=None"


@op(f"int_fake_quantize(Tensor x, Tensor scale, {_GRID}, bool clipped, {_BOUNDS}) -> Tensor")
def int_fake_quantize(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor,
    bit_width: Tensor,
    signed: bool,
    narrow_range: bool,
    clipped: bool,
    lo: Bound = None,
    hi: Bound = None,
) -> Tensor:
    wide, dtype = arithmetic_dtype(x, scale), result_dtype(x, scale)
    ends = signed, narrow_range, clipped, lo, hi
    return IntFakeQuantizeFn.apply(x, scale.to(wide), zero_point.to(wide), bit_width, *ends, dtype)


@op(
    "threshold_int_fake_quantize(Tensor x, Tensor stored, float smallest, Tensor int_range, "
    f"{_GRID}, bool clipped, {_BOUNDS}) -> (Tensor, Tensor)"
)
def threshold_int_fake_quantize(
    x: Tensor, stored: Tensor, smallest: float, int_range: Tensor, *grid_and_bounds: Any
) -> tuple[Tensor, Tensor]:
    threshold = PositiveSteFn.apply(stored, smallest)
    scale = ScaleFromThresholdFn.apply(threshold, int_range)
    return OPS["int_fake_quantize"].reference(x, scale, *grid_and_bounds), scale


@op(
    "maximum_int_fake_quantize(Tensor x, int rows, int[] shape, float smallest, Tensor int_range, "
    f"{_GRID}, bool clipped) -> (Tensor, Tensor)"
)
def maximum_int_fake_quantize(
    x: Tensor, rows: int, shape: Sequence[int], smallest: float, int_range: Tensor, *grid: Any
) -> tuple[Tensor, Tensor]:
    size = torch.abs(x)
    largest = torch.max(size) if rows == 0 else torch.max(size.reshape(rows, -1), dim=1)[0]
    stored = largest.reshape(shape)
    return OPS["threshold_int_fake_quantize"].reference(x, stored, smallest, int_range, *grid)


@op(f"binary_fake_quantize(Tensor x, Tensor scale, bool clipped, {_BOUNDS}) -> Tensor")
def binary_fake_quantize(
    x: Tensor, scale: Tensor, clipped: bool, lo: Bound = None, hi: Bound = None
) -> Tensor:
    wide, dtype = arithmetic_dtype(x, scale), result_dtype(x, scale)
    return BinaryFakeQuantizeFn.apply(x, scale.to(wide), clipped, lo, hi, dtype)


@op(f"ternary_fake_quantize(Tensor x, Tensor scale, float threshold, {_BOUNDS}) -> Tensor")
def ternary_fake_quantize(
    x: Tensor, scale: Tensor, threshold: float, lo: Bound = None, hi: Bound = None
) -> Tensor:
    wide, dtype = arithmetic_dtype(x, scale), result_dtype(x, scale)
    return TernaryFakeQuantizeFn.apply(x, scale.to(wide), threshold, lo, hi, dtype)
