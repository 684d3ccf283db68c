"""Values of the fused quantizers, bit for bit those of the formula computed step by step.

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
from qat.ops.reference import all_ops as python_ops

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
BIT_WIDTHS = [1, 2, 3, 4, 5, 6, 7, 8, 16]
BOUNDS = {"none": (None, None), "relu": (0.0, None), "hardtanh": (-0.7, 0.9), "upper": (None, 0.8)}
KINDS = ("int", "binary", "ternary")
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
every_bounds = pytest.mark.parametrize("bounds", BOUNDS)

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


def activation(x: Tensor, lo, hi) -> Tensor:
    x = x if lo is None else torch.where(x <= lo, torch.tensor(lo, dtype=x.dtype), x)
    return x if hi is None else torch.where(x >= hi, torch.tensor(hi, dtype=x.dtype), x)


def int_reference(x, scale, zero_point, bits, signed, narrow, lo=None, hi=None) -> Tensor:
    dtype, given = torch.promote_types(x.dtype, scale.dtype), torch.result_type(x, scale)
    v, scale, zero_point = activation(x, lo, hi).to(dtype), scale.to(dtype), zero_point.to(dtype)
    low = -(2 ** (bits - 1)) + int(narrow) if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - int(narrow)
    low, high = (torch.tensor(float(end), dtype=torch.float64).to(dtype) for end in (low, high))
    q = torch.round(v / scale) + zero_point
    q = torch.where(q < low, low, torch.where(q > high, high, q))
    return ((q - zero_point) * scale).to(given)


def binary_reference(x, scale, lo=None, hi=None) -> Tensor:
    v = activation(x, lo, hi)
    sign = torch.where(v.isnan(), v, torch.where(v >= 0, 1.0, -1.0).to(x.dtype))
    return (sign.to(scale.dtype) * scale).to(torch.result_type(x, scale))


def ternary_reference(x, scale, threshold, lo=None, hi=None) -> Tensor:
    v = activation(x, lo, hi).to(torch.promote_types(x.dtype, scale.dtype))
    far = torch.where(v.abs() > threshold * scale, torch.sign(v), torch.zeros_like(v))
    return (torch.where(v.isnan(), v, far) * scale).to(torch.result_type(x, scale))


def assert_formula(kind, x, scale, zero_point, lo=None, hi=None, bit_widths=(1, 4, 8)) -> None:
    """Compare the op called ``kind`` with its reference, on grids of every kind."""
    if kind == "binary":
        y = ops.binary_fake_quantize(x, scale, True, lo, hi)
        assert same_bits(y, binary_reference(x, scale, lo, hi))
    elif kind == "ternary":
        for threshold in (0.0, 0.5, 0.7):
            y = ops.ternary_fake_quantize(x, scale, threshold, lo, hi)
            assert same_bits(y, ternary_reference(x, scale, threshold, lo, hi)), threshold
    else:
        for bits in bit_widths:
            for signed, narrow in ((True, False), (True, True), (False, False), (False, True)):
                grid = (scale, zero_point, torch.tensor(float(bits)), signed, narrow)
                y = ops.int_fake_quantize(x, *grid, True, lo, hi)
                expected = int_reference(x, scale, zero_point, bits, signed, narrow, lo, hi)
                assert same_bits(y, expected), (bits, signed, narrow)
                assert same_bits(ops.int_fake_quantize(x, *grid, False, lo, hi), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("granularity", GRANULARITIES)
@every_dtype
def test_value_is_the_formula_at_every_granularity(kind, granularity, dtype, backend):
    shape, scale_shape, zero_shape = GRANULARITIES[granularity]
    x, scale = awkward(shape, dtype), a_scale(scale_shape, dtype)
    zero_point = torch.randint(-3, 9, zero_shape).to(dtype)
    for zero in (zero_point, torch.zeros_like(zero_point)):
        for lo, hi in BOUNDS.values():
            assert_formula(kind, x, scale, zero, lo, hi)


@every_bounds
@every_dtype
def test_value_is_the_formula_at_every_bit_width(bounds, dtype, backend):
    x, scale = awkward((300,), dtype), torch.tensor(0.25, dtype=dtype)
    for zero_point in (0.0, 3.0):
        zero_point = torch.tensor(zero_point, dtype=dtype)
        assert_formula("int", x, scale, zero_point, *BOUNDS[bounds], BIT_WIDTHS)


@pytest.mark.parametrize("kind", KINDS)
@every_dtype
def test_value_is_the_formula_at_every_length(kind, dtype, backend):
    for length in LENGTHS:
        x = awkward((length,), dtype)
        assert_formula(kind, x, a_scale((), dtype), torch.tensor(1.0, dtype=dtype), 0.0, None, (4,))
    scalar = torch.tensor(0.3, dtype=dtype)
    assert_formula(kind, scalar, a_scale((), dtype), torch.tensor(0.0, dtype=dtype))


@pytest.mark.parametrize("kind", KINDS)
def test_empty_tensors_are_quantized_per_channel_too(kind, backend):
    for shape, scale_shape in (((2, 0, 3), (2, 1, 1)), ((0, 4), (4,)), ((2, 3, 0), (3, 1))):
        x, scale = torch.empty(shape), torch.ones(scale_shape)
        assert_formula(kind, x, scale, torch.zeros(scale_shape))


LAYOUTS = {
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(0, 2),
    "inner_channel": lambda x: x.permute(2, 3, 0, 1),
    "strided_slice": lambda x: x[:, ::2, 1:],
    "expanded": lambda x: x[:1].expand(4, -1, -1, -1),
    "offset": lambda x: x[1:],
}
DENSE = ("channels_last", "transposed", "inner_channel", "offset")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@every_dtype
def test_value_does_not_depend_on_the_layout_in_memory(kind, layout, dtype, backend):
    x = LAYOUTS[layout](awkward((3, 6, 5, 7), dtype))
    for scale_shape in ((), (x.shape[0], 1, 1, 1), (x.shape[1], 1, 1), (x.shape[3],)):
        scale = a_scale(scale_shape, dtype)
        assert_formula(kind, x, scale, torch.ones(scale_shape, dtype=dtype), -0.7, 0.9, (4,))


def quantizers():
    scale, zero, bits = torch.tensor(0.25), torch.tensor(0.0), torch.tensor(4.0)
    return {
        "int": lambda x: ops.int_fake_quantize(x, scale, zero, bits, True, False, True),
        "binary": lambda x: ops.binary_fake_quantize(x, scale, True),
        "ternary": lambda x: ops.ternary_fake_quantize(x, scale, 0.5),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", DENSE)
def test_result_is_laid_out_in_memory_as_a_dense_input(kind, layout, backend):
    x = LAYOUTS[layout](torch.randn(3, 6, 5, 7))
    assert quantizers()[kind](x).stride() == x.stride()


@pytest.mark.parametrize("kind", KINDS)
def test_input_is_never_changed_in_place(kind, backend):
    x = awkward((3, 40), torch.float32).requires_grad_()
    before = x.detach().clone()
    quantizers()[kind](x).sum().backward()
    assert same_bits(x.detach(), before)


def test_dtype_of_the_result_is_that_of_torch(backend):
    x, zero = awkward((3, 50), torch.bfloat16), torch.tensor(2.0)
    for scale in (a_scale((), torch.float32), a_scale((3, 1), torch.float32)):
        y = ops.int_fake_quantize(x, scale, zero, torch.tensor(4.0), True, False, True)
        assert y.dtype == (torch.bfloat16 if scale.dim() == 0 else torch.float32)
        assert ops.binary_fake_quantize(x, scale, True).dtype == y.dtype
        assert ops.ternary_fake_quantize(x, scale, 0.0).dtype == y.dtype
    both = torch.tensor(0.3, dtype=torch.bfloat16), torch.tensor(0.25)
    assert ops.binary_fake_quantize(*both, True).dtype == torch.float32


def test_bit_width_per_channel_gives_each_channel_its_own_grid(backend):
    x, zero = awkward((4, 30), torch.float32), torch.tensor(1.0)
    scale, bits = a_scale((4, 1), torch.float32), torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    y = ops.int_fake_quantize(x, scale, zero, bits, True, False, True)
    for row in range(4):
        one = int_reference(x[row], scale[row], zero, int(bits[row]), True, False)
        assert same_bits(y[row], one)


# x of a half type, state in float32, as under torch.autocast


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_wider_scale_is_not_rounded_to_the_type_of_x(kind, granularity, dtype, backend):
    shape, scale_shape, zero_shape = GRANULARITIES[granularity]
    x, scale = awkward(shape, dtype), a_scale(scale_shape, torch.float32)
    zero_point = torch.randint(-3, 9, zero_shape).float()
    for lo, hi in BOUNDS.values():
        assert_formula(kind, x, scale, zero_point, lo, hi)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_integers_do_not_depend_on_the_number_of_dimensions_of_the_scale(dtype, backend):
    x, scale, zero = (torch.randn(5000) * 4).to(dtype), torch.tensor(0.0237), torch.tensor(0.0)
    grid = (zero, torch.tensor(8.0), True, False, True)
    narrow, wide = (ops.int_fake_quantize(x, s, *grid) for s in (scale, scale.reshape(1)))
    assert (narrow.dtype, wide.dtype) == (dtype, torch.float32)
    assert torch.equal((narrow.float() / scale).round(), (wide / scale).round())


steps = st.floats(2.0**-10, 2.0**10, width=32)
values = st.lists(st.floats(width=32), max_size=70)


@settings(max_examples=150, deadline=None)
@given(values, steps, st.integers(-9, 9), st.sampled_from(BIT_WIDTHS), st.sampled_from(DTYPES))
def test_any_floats_give_the_formula(toolchain, values, step, zero_point, bits, dtype):
    ops.ensure_registered()
    x = torch.tensor(values, dtype=torch.float64).to(dtype)
    scale = ops.floor_scale(torch.tensor(step, dtype=torch.float64).to(dtype))
    zero = torch.tensor(float(zero_point), dtype=dtype)
    expected = int_reference(x, scale, zero, bits, zero_point < 0, False, -2.0, None)
    for backend in (python_ops, torch.ops.qat):
        grid = (scale, zero, torch.tensor(float(bits)), zero_point < 0, False, True, -2.0, None)
        assert same_bits(backend.int_fake_quantize(x, *grid), expected)
        assert same_bits(backend.binary_fake_quantize(x, scale, True), binary_reference(x, scale))
        y = backend.ternary_fake_quantize(x, scale, 0.5, None, 1.0)
        assert same_bits(y, ternary_reference(x, scale, 0.5, None, 1.0))
