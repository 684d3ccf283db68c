"""Fused quantizers against their formulas: values bit for bit, gradients in float64.

The reference is written from the formulas of ``qat.ops.fake_quantize`` in plain torch ops, each of
which rounds to the dtype; the ends of the grid are Python integers.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qat import ops
from qat.ops import NO_BOUNDS, Bounds, IntGrid
from qat.ops.table import OPS

HALF_TYPES = [torch.float16, torch.bfloat16]
DTYPES = [*HALF_TYPES, torch.float32, torch.float64]
# Of sums, relative to the sum of the magnitudes.
TOLERANCES = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 1e-5, torch.float64: 1e-12}
BIT_WIDTHS = [1, 2, 3, 4, 5, 6, 7, 8, 16]
BOUNDS = {
    "none": NO_BOUNDS,
    "relu": Bounds(0.0, None),
    "hardtanh": Bounds(-0.7, 0.9),
    "upper": Bounds(None, 0.8),
}
KINDS = ("int", "binary", "ternary")
every_kind = pytest.mark.parametrize("kind", KINDS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
every_half_type = pytest.mark.parametrize("dtype", HALF_TYPES, ids=str)

# name -> shapes of x, scale, zero point
GRANULARITIES = {
    "tensor": ((3, 5, 7, 9), (), ()),
    "one_entry": ((3, 5), (1,), (1, 1)),
    "channel_first": ((6, 5, 3, 3), (6, 1, 1, 1), (6, 1, 1, 1)),
    "channel_second": ((2, 5, 4, 4), (1, 5, 1, 1), (1, 5, 1, 1)),
    "channel_second_of_long_rows": ((2, 3, 9, 11), (3, 1, 1), (3, 1, 1)),
    "channel_last": ((4, 7), (7,), (7,)),
    "group": ((4, 3, 8), (4, 3, 1), (4, 3, 1)),
    "group_of_long_rows": ((2, 3, 130), (2, 3, 1), (2, 3, 1)),
    "scale_per_channel_only": ((4, 5, 6), (5, 1), ()),
    "zero_point_per_channel_only": ((4, 5, 6), (), (1, 5, 1)),
    "scale_and_zero_point_across": ((4, 5), (4, 1), (5,)),
    "first_and_last": ((4, 3, 5), (4, 1, 5), ()),
    "every_element": ((3, 4), (3, 4), (3, 4)),
}
every_granularity = pytest.mark.parametrize("granularity", GRANULARITIES)
LENGTHS = [0, 1, 5, 1023, 1025, 16385]


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Equal shapes, dtypes and values; NaN is equal to NaN, the two zeros are not equal."""
    if (a.shape, a.dtype) != (b.shape, b.dtype) or not torch.equal(a.isnan(), b.isnan()):
        return False
    a, b = a.nan_to_num(7.0, math.inf, -math.inf), b.nan_to_num(7.0, math.inf, -math.inf)
    return torch.equal(a, b) and torch.equal(a.signbit(), b.signbit())


def awkward(shape, dtype) -> Tensor:
    """Random values; the first ones are halves of a step of 0.25, or where formats end."""
    info = torch.finfo(dtype)
    ends = [0.0, -0.0, math.inf, -math.inf, math.nan, info.max, info.min, info.tiny, info.tiny / 2]
    halves = [0.125, -0.125, 0.375, -0.375, 0.625, -1.875, 1.9, -0.7, 0.9, 0.25, -0.25]
    x = (torch.randn(shape, dtype=torch.float64) * 1.5).to(dtype)
    special = torch.tensor(ends + halves, dtype=torch.float64).to(dtype)[: x.numel()]
    x.view(-1)[: special.numel()] = special[torch.randperm(special.numel())]
    return x


def a_scale(shape, dtype) -> Tensor:
    """From 0.01 to 1; one entry is 0.25, of which the halves are exact."""
    scale = (torch.rand(shape, dtype=torch.float64) + 0.01).to(dtype)
    scale.view(-1)[0] = 0.25
    return scale


# Values


def activation(x: Tensor, bounds: Bounds) -> Tensor:
    lo, hi = bounds
    x = x if lo is None else torch.where(x <= lo, torch.tensor(lo, dtype=x.dtype), x)
    return x if hi is None else torch.where(x >= hi, torch.tensor(hi, dtype=x.dtype), x)


def int_reference(x, scale, zero_point, bits, signed, narrow, bounds=NO_BOUNDS) -> Tensor:
    dtype, given = torch.promote_types(x.dtype, scale.dtype), torch.result_type(x, scale)
    v, scale, zero_point = activation(x, bounds).to(dtype), scale.to(dtype), zero_point.to(dtype)
    low = -(2 ** (bits - 1)) + int(narrow) if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - int(narrow)
    low, high = (torch.tensor(float(end), dtype=torch.float64).to(dtype) for end in (low, high))
    q = torch.round(v / scale) + zero_point
    q = torch.where(q < low, low, torch.where(q > high, high, q))
    return ((q - zero_point) * scale).to(given)


def binary_reference(x, scale, bounds=NO_BOUNDS) -> Tensor:
    v = activation(x, bounds)
    sign = torch.where(v.isnan(), v, torch.where(v >= 0, 1.0, -1.0).to(x.dtype))
    return (sign.to(scale.dtype) * scale).to(torch.result_type(x, scale))


def ternary_reference(x, scale, threshold, bounds=NO_BOUNDS) -> Tensor:
    v = activation(x, bounds).to(torch.promote_types(x.dtype, scale.dtype))
    far = torch.where(v.abs() > threshold * scale, torch.sign(v), torch.zeros_like(v))
    return (torch.where(v.isnan(), v, far) * scale).to(torch.result_type(x, scale))


def assert_values(kind, x, scale, zero_point, bounds=NO_BOUNDS, bit_widths=(1, 4, 8)) -> None:
    """Compare the op called ``kind`` with its reference, on grids of every kind."""
    if kind == "binary":
        y = ops.binary_fake_quantize(x, scale, True, bounds)
        assert same_bits(y, binary_reference(x, scale, bounds))
    elif kind == "ternary":
        for threshold in (0.0, 0.5, 0.7):
            y = ops.ternary_fake_quantize(x, scale, threshold, bounds)
            assert same_bits(y, ternary_reference(x, scale, threshold, bounds)), threshold
    else:
        for bits in bit_widths:
            for signed, narrow in ((True, False), (True, True), (False, False), (False, True)):
                grid = IntGrid(zero_point, torch.tensor(float(bits)), signed, narrow)
                y = ops.int_fake_quantize(x, scale, grid, True, bounds)
                expected = int_reference(x, scale, zero_point, bits, signed, narrow, bounds)
                assert same_bits(y, expected), (bits, signed, narrow)
                assert same_bits(ops.int_fake_quantize(x, scale, grid, False, bounds), expected)


@every_granularity
@every_dtype
def test_value_is_the_formula_at_every_granularity(granularity, dtype, backend):
    shape, scale_shape, zero_shape = GRANULARITIES[granularity]
    x, scale = awkward(shape, dtype), a_scale(scale_shape, dtype)
    zero_point = torch.randint(-3, 9, zero_shape).to(dtype)
    for kind in KINDS:
        for bounds in BOUNDS.values():
            assert_values(kind, x, scale, zero_point, bounds)
        assert_values(kind, x, scale, torch.zeros_like(zero_point))


@every_dtype
def test_value_is_the_formula_at_every_bit_width(dtype, backend):
    x, scale = awkward((300,), dtype), torch.tensor(0.25, dtype=dtype)
    for zero_point in (0.0, 3.0):
        zero_point = torch.tensor(zero_point, dtype=dtype)
        assert_values("int", x, scale, zero_point, BOUNDS["hardtanh"], BIT_WIDTHS)


@every_kind
@every_dtype
def test_value_is_the_formula_at_every_length(kind, dtype, backend):
    one, zero = torch.tensor([1.0, 0.0], dtype=dtype)
    for length in LENGTHS:
        x = awkward((length,), dtype)
        assert_values(kind, x, a_scale((), dtype), one, BOUNDS["relu"], (4,))
    assert_values(kind, torch.tensor(0.3, dtype=dtype), a_scale((), dtype), zero)
    for shape, scale_shape in (((2, 0, 3), (2, 1, 1)), ((0, 4), (4,)), ((2, 3, 0), (3, 1))):
        scale = torch.ones(scale_shape, dtype=dtype)
        assert_values(kind, torch.empty(shape, dtype=dtype), scale, torch.zeros_like(scale))


LAYOUTS = {
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(0, 2),
    "inner_channel": lambda x: x.permute(2, 3, 0, 1),
    "strided_slice": lambda x: x[:, ::2, 1:],
    "expanded": lambda x: x[:1].expand(4, -1, -1, -1),
    "offset": lambda x: x[1:],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_value_does_not_depend_on_the_layout_in_memory(layout, dtype, backend):
    x = LAYOUTS[layout](awkward((3, 6, 5, 7), dtype))
    for scale_shape in ((), (x.shape[0], 1, 1, 1), (x.shape[1], 1, 1), (x.shape[3],)):
        scale = a_scale(scale_shape, dtype)
        for kind in KINDS:
            one = torch.ones(scale_shape, dtype=dtype)
            assert_values(kind, x, scale, one, BOUNDS["hardtanh"], (4,))
    if layout not in ("strided_slice", "expanded"):  # dense
        grid = IntGrid(torch.tensor(0.0), torch.tensor(4.0), True, False)
        assert ops.int_fake_quantize(x, torch.tensor(0.25), grid, True).stride() == x.stride()
        assert ops.binary_fake_quantize(x, torch.tensor(0.25), True).stride() == x.stride()
        assert ops.ternary_fake_quantize(x, torch.tensor(0.25), 0.5).stride() == x.stride()


def test_bit_width_per_channel_gives_each_channel_its_own_grid(backend):
    x, zero = awkward((4, 30), torch.float32), torch.tensor(1.0)
    scale, bits = a_scale((4, 1), torch.float32), torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    y = ops.int_fake_quantize(x, scale, IntGrid(zero, bits, True, False), True)
    for row in range(4):
        one = int_reference(x[row], scale[row], zero, int(bits[row]), True, False)
        assert same_bits(y[row], one)


# x of a half type, state in float32, as under torch.autocast


@every_granularity
@every_half_type
def test_a_wider_scale_is_not_rounded_to_the_type_of_x(granularity, dtype, backend):
    shape, scale_shape, zero_shape = GRANULARITIES[granularity]
    x, scale = awkward(shape, dtype), a_scale(scale_shape, torch.float32)
    zero_point = torch.randint(-3, 9, zero_shape).float()
    for kind in KINDS:
        for bounds in (NO_BOUNDS, BOUNDS["hardtanh"]):
            assert_values(kind, x, scale, zero_point, bounds)


@every_half_type
def test_integers_do_not_depend_on_the_number_of_dimensions_of_the_scale(dtype, backend):
    x, scale = (torch.randn(5000) * 4).to(dtype), torch.tensor(0.0237)
    grid = IntGrid(torch.tensor(0.0), torch.tensor(8.0), True, False)
    narrow, wide = (ops.int_fake_quantize(x, s, grid, True) for s in (scale, scale.reshape(1)))
    assert (narrow.dtype, wide.dtype) == (dtype, torch.float32)
    assert torch.equal((narrow.float() / scale).round(), (wide / scale).round())


steps = st.floats(2.0**-10, 2.0**10, width=32)
values = st.lists(st.floats(width=32), max_size=70)


@settings(max_examples=100, deadline=None)
@given(values, steps, st.integers(-9, 9), st.sampled_from(BIT_WIDTHS), st.sampled_from(DTYPES))
def test_any_floats_give_the_formula(toolchain, values, step, zero_point, bits, dtype):
    ops.ensure_registered()
    x = torch.tensor(values, dtype=torch.float64).to(dtype)
    scale = ops.floor_scale(torch.tensor(step, dtype=torch.float64).to(dtype))
    zero = torch.tensor(float(zero_point), dtype=dtype)
    signed, lower, upper = zero_point < 0, Bounds(-2.0, None), Bounds(None, 1.0)
    grid = (zero, torch.tensor(float(bits)), signed, False)
    expected = {
        "int_fake_quantize": int_reference(x, scale, zero, bits, signed, False, lower),
        "binary_fake_quantize": binary_reference(x, scale),
        "ternary_fake_quantize": ternary_reference(x, scale, 0.5, upper),
    }
    arguments = {
        "int_fake_quantize": (*grid, True, *lower),
        "binary_fake_quantize": (True,),
        "ternary_fake_quantize": (0.5, *upper),
    }
    for name, value in expected.items():
        for function in (OPS[name].reference, getattr(torch.ops.qat, name)):
            assert same_bits(function(x, scale, *arguments[name]), value)


# Gradients


def steps_and_mask(x: Tensor, scale: Tensor, bounds: Bounds) -> tuple[Tensor, Tensor, Tensor]:
    """``v``, ``v / scale`` as rounded by the dtype, and where the activation lets through."""
    lo, hi = bounds
    passes = (x > (-math.inf if lo is None else lo)) & (x < (math.inf if hi is None else hi))
    v = x if bounds == NO_BOUNDS else x.clamp(lo, hi)
    v = v.to(torch.promote_types(x.dtype, scale.dtype))
    return v, v / scale, passes | x.isnan()


def int_terms(g, x, scale, zero_point, bits, signed, narrow, clipped, bounds):
    """What each element gives to the gradients of x, scale, zero point and bit width."""
    low = -(2.0 ** (bits - 1)) + float(narrow) if signed else 0.0
    high = 2.0 ** (bits - 1) - 1 if signed else 2.0**bits - 1 - float(narrow)
    _, steps, passes = steps_and_mask(x, scale, bounds)
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


def binary_terms(g, x, scale, clipped, bounds):
    v, _, passes = steps_and_mask(x, scale, bounds)
    inside = (v.abs() <= scale) if clipped else torch.ones_like(passes)
    g, sign, scale = g.double(), torch.where(v >= 0, 1.0, -1.0).double(), scale.double()
    return g * scale * inside * passes, g * sign * (1 + scale * ~inside)


def ternary_terms(g, x, scale, threshold, bounds):
    v, _, passes = steps_and_mask(x, scale, bounds)
    far = v.abs() > threshold * scale
    g, scale = g.double(), scale.double()
    return g * scale * far * passes, g * torch.sign(v.double()) * far


def leaves(*tensors: Tensor) -> list[Tensor]:
    return [t.detach().clone().requires_grad_() for t in tensors]


def assert_terms(y, g, inputs, terms, dtype) -> None:
    found = torch.autograd.grad(y, inputs, g)
    for gradient, item in zip(found, inputs, strict=True):
        assert (gradient.dtype, gradient.shape) == (item.dtype, item.shape)
    assert torch.equal(found[0] != 0, terms[0] != 0)
    for gradient, parts, item in zip(found, terms, inputs, strict=True):
        allowed = TOLERANCES[dtype] * parts.abs().sum_to_size(item.shape)
        assert ((gradient.double() - parts.sum_to_size(item.shape)).abs() <= allowed).all()


def incoming(shape, dtype) -> Tensor:
    """Without a zero, so that the mask of the gradient can be seen."""
    return ((torch.rand(shape) + 0.5) * torch.where(torch.rand(shape) < 0.5, -1.0, 1.0)).to(dtype)


def assert_gradients(kind, x, g, scale, zero_point, bounds) -> None:
    dtype = x.dtype
    if kind == "int":
        bits = torch.tensor(4.0, dtype=torch.promote_types(dtype, torch.float32))
        for signed, narrow, clipped in (
            (True, False, True),
            (False, True, True),
            (True, False, False),
        ):
            inputs = leaves(x, scale, zero_point, bits)
            grid = IntGrid(*inputs[2:], signed, narrow)
            y = ops.int_fake_quantize(*inputs[:2], grid, clipped, bounds)
            terms = int_terms(g, x, scale, zero_point, 4.0, signed, narrow, clipped, bounds)
            learned = 4 if clipped else 2
            assert_terms(y, g, inputs[:learned], terms[:learned], dtype)
    elif kind == "binary":
        for clipped in (True, False):
            inputs = leaves(x, scale)
            y = ops.binary_fake_quantize(*inputs, clipped, bounds)
            assert_terms(y, g, inputs, binary_terms(g, x, scale, clipped, bounds), dtype)
    else:
        inputs = leaves(x, scale)
        y = ops.ternary_fake_quantize(*inputs, 0.6, bounds)
        assert_terms(y, g, inputs, ternary_terms(g, x, scale, 0.6, bounds), dtype)


@every_kind
@every_granularity
@every_dtype
def test_gradients_are_those_of_the_formulas(kind, granularity, dtype, backend):
    shape, scale_shape, zero_shape = GRANULARITIES[granularity]
    x, g = (torch.randn(shape) * 1.2).to(dtype), incoming(shape, dtype)
    scale = (torch.rand(scale_shape) * 0.3 + 0.05).to(dtype)
    zero_point = torch.randint(-2, 4, zero_shape).to(dtype)
    for bounds in BOUNDS.values() if granularity == "tensor" else (BOUNDS["hardtanh"],):
        assert_gradients(kind, x, g, scale, zero_point, bounds)
    if dtype in HALF_TYPES:
        g = incoming(shape, torch.result_type(x, scale.float()))
        assert_gradients(kind, x, g, scale.float(), zero_point.float(), NO_BOUNDS)


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
        assert_gradients(kind, x, g, scale, torch.ones(shape), BOUNDS["relu"])


STEP = torch.tensor(0.25)
GRID = IntGrid(torch.tensor(1.0), torch.tensor(3.0), True, False)
CALLS = {
    "int": lambda x, bounds: ops.int_fake_quantize(x, STEP, GRID, True, bounds),
    "int_unclipped": lambda x, bounds: ops.int_fake_quantize(x, STEP, GRID, False, bounds),
    "binary": lambda x, bounds: ops.binary_fake_quantize(x, STEP, True, bounds),
    "binary_unclipped": lambda x, bounds: ops.binary_fake_quantize(x, STEP, False, bounds),
    "ternary": lambda x, bounds: ops.ternary_fake_quantize(x, STEP, 0.5, bounds),
}


@pytest.mark.parametrize("call", CALLS)
def test_infinite_inputs_have_the_gradient_of_large_ones(call, backend):
    for bounds in BOUNDS.values():
        (x,) = leaves(torch.tensor([-math.inf, math.inf, -1e30, 1e30]))
        CALLS[call](x, bounds).sum().backward()
        assert torch.equal(x.grad[:2], x.grad[2:])


@pytest.mark.parametrize("call", ["int", "binary"])
def test_nan_has_no_gradient_where_clipped(call, backend):
    for bounds in BOUNDS.values():
        nan = torch.full((4,), math.nan, requires_grad=True)
        CALLS[call](nan, bounds).sum().backward()
        assert torch.equal(nan.grad, torch.zeros(4))


@every_kind
def test_gradient_of_nothing_is_nothing(kind, backend):
    for shape, scale_shape in (((0,), ()), ((2, 0, 3), (2, 1, 1)), ((0, 4), (4,))):
        x, scale = torch.empty(shape), torch.ones(scale_shape)
        assert_gradients(kind, x, x, scale, torch.zeros(scale_shape), NO_BOUNDS)


# A quantizer that divides a stored threshold itself, against the single steps


SHAPES = {"tensor": (), "channel": (6, 1), "one_entry": (1,)}
THRESHOLD_GRID = IntGrid(torch.tensor(1.0), torch.tensor(4.0), True, False)


def with_threshold(x, stored, smallest, int_range):
    bounds = Bounds(-0.6, None)
    return ops.threshold_int_fake_quantize(
        x, stored, smallest, int_range, THRESHOLD_GRID, True, bounds
    )


def with_scale(x, scale):
    return ops.int_fake_quantize(x, scale, THRESHOLD_GRID, True, Bounds(-0.6, None))


def threshold_operands(shape, dtype):
    """Thresholds of both signs; one is 0, one is so small that its scale is no normal number."""
    stored = (torch.rand(SHAPES[shape]) * 2 - 1).to(dtype)
    if stored.numel() > 2:
        stored.view(-1)[0], stored.view(-1)[1] = 0.0, torch.finfo(dtype).tiny
    return torch.randn(6, 40).to(dtype), stored, torch.tensor(8.0, dtype=dtype)


def scale_of(stored, smallest, int_range):
    threshold = torch.clamp(stored.abs(), min=smallest)
    return torch.clamp(threshold / int_range, min=torch.finfo(stored.dtype).tiny)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("smallest", [0.0, 0.25])
@every_dtype
def test_value_and_scale_of_a_threshold_are_those_of_the_steps(shape, smallest, dtype, backend):
    x, stored, int_range = threshold_operands(shape, dtype)
    y, scale = with_threshold(x, stored, smallest, int_range)
    expected = scale_of(stored, smallest, int_range)
    assert torch.equal(scale, expected) and scale.dtype == dtype
    assert torch.equal(y, with_scale(x, expected))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("smallest", [0.0, 0.25])
@pytest.mark.parametrize("weight_of_scale", [0.0, 3.0])
def test_gradients_of_a_threshold_are_those_of_the_steps(shape, smallest, weight_of_scale, backend):
    x, stored, int_range = threshold_operands(shape, torch.float32)
    x, stored = x.requires_grad_(), stored.requires_grad_()
    y, scale = with_threshold(x, stored, smallest, int_range)
    g = torch.randn(y.shape)
    found = torch.autograd.grad((g * y).sum() + weight_of_scale * scale.sum(), (x, stored))

    plain = scale_of(stored.detach(), smallest, int_range).requires_grad_()
    loss = (g * with_scale(x, plain)).sum() + weight_of_scale * plain.sum()
    to_x, to_scale = torch.autograd.grad(loss, (x, plain))
    # d scale / d stored = sign / range, with the sign of 0 positive; no floor stops it
    sign = torch.where(stored >= 0, 1.0, -1.0)
    assert torch.equal(found[0], to_x)
    torch.testing.assert_close(found[1], to_scale * sign / int_range, rtol=1e-5, atol=1e-5)


def test_scale_of_a_threshold_may_be_used_alone(backend):
    x, stored, int_range = threshold_operands("channel", torch.float32)
    _, scale = with_threshold(x, stored.requires_grad_(), 0.0, int_range)
    scale.sum().backward()
    sign = torch.where(stored >= 0, 1.0, -1.0)
    torch.testing.assert_close(stored.grad, sign / int_range)
