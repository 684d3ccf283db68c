"""Ends of the integer grid, floor of a scale, plain forward values."""

import pytest
import torch

from qat import ops

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize(
    ("signed", "narrow", "bits", "lowest", "highest"),
    [
        (True, False, 8, -128, 127),
        (True, True, 8, -127, 127),
        (False, False, 8, 0, 255),
        (False, True, 8, 0, 254),
        (True, False, 1, -1, 0),
        (False, False, 1, 0, 1),
        (True, False, 24, -(2**23), 2**23 - 1),
        (False, False, 24, 0, 2**24 - 1),
    ],
)
def test_ends_of_the_grid(signed, narrow, bits, lowest, highest):
    bit_width = torch.tensor(float(bits))
    assert ops.min_int(signed, narrow, bit_width).item() == lowest
    assert ops.max_int(signed, narrow, bit_width).item() == highest


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_ends_keep_shape_and_dtype_of_the_bit_width(dtype):
    bit_width = torch.tensor([[2], [8]], dtype=dtype)
    for signed in (True, False):
        for end in (ops.min_int, ops.max_int):
            assert end(signed, False, bit_width).shape == (2, 1)
            assert end(signed, False, bit_width).dtype == dtype
    assert ops.max_int(False, False, bit_width).tolist() == [[3], [255]]


def test_bit_width_gets_the_gradient_of_the_formula():
    bit_width = torch.tensor(4.0, requires_grad=True)
    ops.max_int(True, False, bit_width).backward()
    assert bit_width.grad.item() == pytest.approx(2**3 * 0.6931472)  # d 2^(b-1) = 2^(b-1) ln 2


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_smallest_normal_is_that_of_the_dtype(dtype):
    assert ops.smallest_normal(torch.zeros(1, dtype=dtype)) == torch.finfo(dtype).smallest_normal


def test_smallest_normal_refuses_integers():
    with pytest.raises(TypeError, match="float16, bfloat16, float32 or float64"):
        ops.smallest_normal(torch.zeros(1, dtype=torch.int8))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_floored_scale_divides_zero_to_zero_and_still_learns(dtype, backend):
    scale = torch.tensor([0.0, -1.0, 0.5], dtype=dtype, requires_grad=True)
    floored = ops.floor_scale(scale)
    floored.sum().backward()
    smallest = torch.finfo(dtype).smallest_normal
    assert floored.tolist() == [smallest, smallest, 0.5]
    assert (torch.zeros(3, dtype=dtype) / floored.detach()).tolist() == [0, 0, 0]
    assert scale.grad.tolist() == [1, 1, 1]


def test_signs_and_rounding_have_zero_gradient():
    for function in (ops.binary_sign, ops.ternary_sign, ops.dpu_round):
        x = torch.tensor([-2.0, 0.0, 3.5], requires_grad=True)
        function(x).sum().backward()
        assert x.grad.tolist() == [0, 0, 0]
