"""Gradients of the fused quantizers against their formulas in float64."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from qat import ops

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
# Of sums, relative to the sum of the magnitudes.
TOLERANCES = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 1e-5, torch.float64: 1e-12}
BOUNDS = {"none": (None, None), "relu": (0.0, None), "hardtanh": (-0.7, 0.9), "upper": (None, 0.8)}
KINDS = ("int", "binary", "ternary")
STEP = torch.tensor(0.25)
GRID = {
    "scale": STEP,
    "zero_point": torch.tensor(1.0),
    "bit_width": torch.tensor(3.0),
    "signed": True,
    "narrow_range": False,
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_bounds = pytest.mark.parametrize("bounds", BOUNDS)

# name -> shapes of x, scale, zero point
GRANULARITIES = {
    "tensor": ((3, 50, 31), (), ()),
    "channel_first": ((6, 5, 3, 3), (6, 1, 1, 1), (6, 1, 1, 1)),
    "channel_second": ((2, 5, 9, 11), (1, 5, 1, 1), (1, 5, 1, 1)),
    "channel_last": ((40, 7), (7,), (7,)),
    "group": ((4, 3, 80), (4, 3, 1), (4, 3, 1)),
    "scale_per_channel_only": ((4, 5, 6), (5, 1), ()),
    "zero_point_per_channel_only": ((4, 5, 6), (), (1, 5, 1)),
    "scale_and_zero_point_across": ((4, 5), (4, 1), (5,)),
    "first_and_last": ((4, 3, 5), (4, 1, 5), ()),
}


def steps_and_mask(x: Tensor, scale: Tensor, lo, hi) -> tuple[Tensor, Tensor, Tensor]:
    """``v``, ``v / scale`` as rounded by the dtype, and where the activation lets through."""
    passes = (x > (-math.inf if lo is None else lo)) & (x < (math.inf if hi is None else hi))
    passes = passes | x.isnan()
    v = x if lo is None and hi is None else x.clamp(lo, hi)
    v = v.to(torch.promote_types(x.dtype, scale.dtype))
    return v, v / scale, passes


def int_terms(g, x, scale, zero_point, bits, signed, narrow, clipped, lo, hi):
    """What each element gives to the gradients of x, scale, zero point and bit width."""
    low = -(2.0 ** (bits - 1)) + float(narrow) if signed else 0.0
    high = 2.0 ** (bits - 1) - 1 if signed else 2.0**bits - 1 - float(narrow)
    _, steps, passes = steps_and_mask(x, scale, lo, hi)
    free = torch.round(steps) + zero_point
    q = free.clamp(low, high)
    below, above = free < low, free > high
    inside = ~(below | above) if clipped else torch.ones_like(below)
    g, steps, free, q, scale = (t.double() for t in (g, steps, free, q, scale))
    slope = math.log(2.0) * 2.0 ** (bits - 1 if signed else bits)
    outside = (~inside).double() * g * scale
    return (
        g * inside * passes,
        g * (q - zero_point.double() - steps * inside),
        -outside,
        outside * slope * (above.double() - below.double() * float(signed)),
    )


def binary_terms(g, x, scale, clipped, lo, hi):
    v, _, passes = steps_and_mask(x, scale, lo, hi)
    inside = (v.abs() <= scale) if clipped else torch.ones_like(passes)
    g, sign, scale = g.double(), torch.where(v >= 0, 1.0, -1.0).double(), scale.double()
    return g * scale * inside * passes, g * sign * (1 + scale * ~inside)


def ternary_terms(g, x, scale, threshold, lo, hi):
    v, _, passes = steps_and_mask(x, scale, lo, hi)
    far = v.abs() > threshold * scale
    g, scale = g.double(), scale.double()
    return g * scale * far * passes, g * torch.sign(v.double()) * far


def leaves(*tensors: Tensor) -> list[Tensor]:
    return [t.detach().clone().requires_grad_() for t in tensors]


def assert_gradients(y, g, inputs, terms, dtype) -> None:
    found = torch.autograd.grad(y, inputs, g)
    assert all(
        f.dtype == i.dtype and f.shape == i.shape for f, i in zip(found, inputs, strict=True)
    )
    assert torch.equal(found[0] != 0, terms[0] != 0)
    for gradient, parts, item in zip(found, terms, inputs, strict=True):
        allowed = TOLERANCES[dtype] * parts.abs().sum_to_size(item.shape)
        assert ((gradient.double() - parts.sum_to_size(item.shape)).abs() <= allowed).all()


def incoming(shape, dtype) -> Tensor:
    """Without a zero, so that the mask of the gradient can be seen."""
    return ((torch.rand(shape) + 0.5) * torch.where(torch.rand(shape) < 0.5, -1.0, 1.0)).to(dtype)


def operands(granularity, dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shape, scale_shape, zero_shape = GRANULARITIES[granularity]
    x = (torch.randn(shape) * 1.2).to(dtype)
    scale = (torch.rand(scale_shape) * 0.3 + 0.05).to(dtype)
    return x, incoming(shape, dtype), scale, torch.randint(-2, 4, zero_shape).to(dtype)


def assert_formulas(kind, x, g, scale, zero_point, lo, hi) -> None:
    dtype = x.dtype
    wide = torch.promote_types(dtype, torch.float32)
    if kind == "int":
        for signed, narrow in ((True, False), (False, True)):
            for clipped in (True, False):
                inputs = leaves(x, scale, zero_point, torch.tensor(4.0, dtype=wide))
                y = ops.int_fake_quantize(*inputs, signed, narrow, clipped, lo, hi)
                terms = int_terms(g, x, scale, zero_point, 4.0, signed, narrow, clipped, lo, hi)
                if clipped:
                    assert_gradients(y, g, inputs, terms, dtype)
                else:
                    assert_gradients(y, g, inputs[:2], terms[:2], dtype)
    elif kind == "binary":
        for clipped in (True, False):
            inputs = leaves(x, scale)
            y = ops.binary_fake_quantize(*inputs, clipped, lo, hi)
            assert_gradients(y, g, inputs, binary_terms(g, x, scale, clipped, lo, hi), dtype)
    else:
        inputs = leaves(x, scale)
        y = ops.ternary_fake_quantize(*inputs, 0.6, lo, hi)
        assert_gradients(y, g, inputs, ternary_terms(g, x, scale, 0.6, lo, hi), dtype)


@every_kind
@every_bounds
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gradients_are_those_of_the_formulas(kind, bounds, granularity, dtype, backend):
    assert_formulas(kind, *operands(granularity, dtype), *BOUNDS[bounds])


@every_kind
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_gradients_of_a_half_type_and_a_wider_scale_are_those_of_the_formulas(
    kind, granularity, dtype, backend
):
    x, _, scale, zero_point = operands(granularity, dtype)
    g = incoming(x.shape, torch.result_type(x, scale.float()))
    for bounds in BOUNDS.values():
        assert_formulas(kind, x, g, scale.float(), zero_point.float(), *bounds)


MEMORY = {
    "expanded_gradient": lambda x, g: (x, torch.tensor(-0.75, dtype=g.dtype).expand_as(g)),
    "contiguous_gradient": lambda x, g: (x.to(memory_format=torch.channels_last), g),
    "channels_last_gradient": lambda x, g: (x, g.to(memory_format=torch.channels_last)),
    "strided": lambda x, g: (x[:, :, ::2], g[:, :, 1::2]),
    "expanded": lambda x, g: (x[:1].expand_as(x), g),
    "transposed": lambda x, g: (x.permute(2, 1, 0, 3), g.permute(3, 1, 0, 2)),
}


@every_kind
@pytest.mark.parametrize("memory", MEMORY)
def test_gradients_do_not_depend_on_the_layout_in_memory(kind, memory, backend):
    x, g = MEMORY[memory](torch.randn(3, 6, 8, 8), incoming((3, 6, 8, 8), torch.float32))
    for shape in ((), (6, 1, 1), (x.shape[3],)):
        scale = torch.rand(shape) * 0.3 + 0.05
        assert_formulas(kind, x, g, scale, torch.ones(shape), 0.0, None)


@every_kind
@every_bounds
def test_infinite_inputs_have_the_gradient_of_large_ones(kind, bounds, backend):
    ends = torch.tensor([-math.inf, math.inf, -1e30, 1e30])
    lo, hi = BOUNDS[bounds]
    int_op, binary_op = ops.int_fake_quantize, ops.binary_fake_quantize
    calls = {
        "int": [partial(int_op, **GRID, clipped=clipped) for clipped in (False, True)],
        "binary": [partial(binary_op, scale=STEP, clipped=clipped) for clipped in (False, True)],
        "ternary": [partial(ops.ternary_fake_quantize, scale=STEP, threshold=0.5)],
    }
    for call in calls[kind]:
        (x,) = leaves(ends)
        call(x, lo=lo, hi=hi).sum().backward()
        assert torch.equal(x.grad[:2], x.grad[2:])


def test_nan_has_no_gradient_where_clipped(backend):
    nan = torch.full((4,), math.nan, requires_grad=True)
    for lo, hi in BOUNDS.values():
        y = ops.int_fake_quantize(
            nan, **GRID, clipped=True, lo=lo, hi=hi
        ) + ops.binary_fake_quantize(nan, STEP, True, lo, hi)
        (gradient,) = torch.autograd.grad(y, nan, torch.ones(4))
        assert torch.equal(gradient, torch.zeros(4))


@every_kind
def test_gradient_of_nothing_is_nothing(kind, backend):
    for shape, scale_shape in (((0,), ()), ((2, 0, 3), (2, 1, 1)), ((0, 4), (4,))):
        x, scale = torch.empty(shape), torch.ones(scale_shape)
        assert_formulas(kind, x, x, scale, torch.zeros(scale_shape), None, None)
