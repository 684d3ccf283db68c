"""Sums, differences and products of quantized tensors are exact integer arithmetic."""

from __future__ import annotations

import operator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qat.tensor import QuantTensor

UNARY = {
    "neg": operator.neg,
    "neg_function": torch.neg,
    "abs": abs,
    "abs_function": torch.abs,
    "pos": operator.pos,
}
BINARY = {
    "add": operator.add,
    "add_function": torch.add,
    "add_method": lambda a, b: a.add(b),
    "iadd": operator.iadd,
    "sub": operator.sub,
    "sub_method": lambda a, b: a.sub(b),
    "mul": operator.mul,
    "mul_function": torch.mul,
}


def of(integers, bits=8, signed=True, zero_point=0.0, scale=0.5):
    q = torch.tensor(integers, dtype=torch.float32)
    return QuantTensor((q - zero_point) * scale, scale, zero_point, float(bits), signed)


@pytest.mark.parametrize("name", UNARY)
def test_signs_keep_the_grid(name, grids, assert_on_grid):
    for grid in grids.values():
        x = grid.make()

        assert_on_grid(UNARY[name](x), UNARY[name](x.value))


@pytest.mark.parametrize("name", BINARY)
def test_arithmetic_of_equal_scales_keeps_the_grid(name, grids, assert_on_grid):
    for grid in grids.values():
        a, b = grid.make(seed=1), grid.make(seed=2)
        expected = BINARY[name](a.value.clone(), b.value)

        assert_on_grid(BINARY[name](a, b), expected)


@pytest.mark.parametrize("signed", [(True, True), (False, False), (True, False), (False, True)])
@pytest.mark.parametrize("name", ["add", "sub", "mul"])
@settings(max_examples=25, deadline=None)
@given(
    bits=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    zero_points=st.tuples(*[st.integers(0, 1)] * 2),
)
def test_the_result_holds_the_extremes_of_all_formats(name, signed, bits, zero_points):
    def corners(bits, signed, zero_point):
        low = -(2 ** (bits - 1)) if signed else 0
        high = 1 if signed and bits == 1 else low + 2**bits - 1
        return of([low, high], bits, signed, float(zero_point))

    a = corners(bits[0], signed[0], zero_points[0])[:, None]
    b = corners(bits[1], signed[1], zero_points[1])[None]

    result = BINARY[name](a, b)

    assert result.is_valid
    steps = BINARY[name](a.value / a.scale, b.value / b.scale)
    assert torch.equal(result.int() - result.zero_point, steps)


def test_a_sum_adds_integers_and_zero_points_in_one_bit_more():
    a, b = of([127, -128], zero_point=1.0), of([127, -128], zero_point=2.0)

    total = a + b

    assert total.int().tolist() == [254, -256]
    assert total.zero_point == 3
    assert total.bit_width == 9
    assert total.signed is True
    assert total.scale is a.scale


def test_a_sum_of_signed_and_unsigned_holds_both_ranges():
    total = of([127, -128]) + of([255, 0], signed=False)

    assert total.int().tolist() == [382, -128]
    assert total.signed is True
    assert total.bit_width == 10


def test_a_sum_of_unsigned_tensors_is_unsigned():
    total = of([255], signed=False) + of([255], signed=False)

    assert (total.signed, int(total.bit_width), total.int().tolist()) == (False, 9, [510])


def test_a_difference_of_unsigned_tensors_is_signed_in_one_bit_more():
    difference = of([0, 255], signed=False) - of([255, 0], signed=False)

    assert (difference.signed, int(difference.bit_width)) == (True, 9)
    assert difference.int().tolist() == [-255, 255]


def test_a_sum_of_binary_tensors_holds_two():
    total = of([1, -1], bits=1) + of([1, -1], bits=1)

    assert total.int().tolist() == [2, -2]
    assert total.bit_width == 3


def test_different_scales_give_a_plain_sum():
    total = of([1]) + of([1], scale=0.25)

    assert type(total) is torch.Tensor
    assert total.tolist() == [0.75]


def test_a_plain_tensor_gives_a_plain_sum_on_both_sides():
    x = of([1, 2])
    shortcut = torch.tensor([1.0, 1.0])

    for total in (x + shortcut, shortcut + x, x + 1, 1 + x):
        assert type(total) is torch.Tensor
        assert total.tolist() == [1.5, 2.0]
    assert type(shortcut - x) is torch.Tensor
    assert (1 - x).tolist() == [0.5, 0.0]


def test_a_plain_tensor_accumulates_a_quantized_one_in_place():
    total = torch.zeros(2)
    alias = total

    total += of([1, 2])

    assert alias.tolist() == [0.5, 1.0]


def test_adding_in_place_leaves_the_first_operand_alone():
    x = y = of([1, 2])

    x += of([3, 4])

    assert x.int().tolist() == [4, 6]
    assert y.int().tolist() == [1, 2]


def test_sum_of_a_list_starts_from_the_number_zero():
    total = sum([of([1]), of([2]), of([3])])

    assert total.int().tolist() == [6]
    assert total.is_valid


def test_subtracting_nothing_changes_nothing_and_subtracting_from_nothing_negates():
    x = of([1, -2])

    assert (x - 0).int().tolist() == [1, -2]
    assert (0 - x).int().tolist() == [-1, 2]


@pytest.mark.parametrize("name", ["x + 0", "0.0 + x", "x - 0"])
def test_adding_nothing_gives_a_tensor_of_its_own(name):
    x = of([1, -2])

    eval(name, {"x": x}).relu_()

    assert x.int().tolist() == [1, -2]


def test_the_absolute_value_on_a_mirrored_grid_has_a_positive_scale():
    x = of([1, -2], scale=-0.5)  # -0.5, 1.0

    assert abs(x).int().tolist() == [1, 2]
    assert abs(x).scale == 0.5


@pytest.mark.parametrize("name", ["add", "sub", "mul", "cat"])
def test_a_mix_of_types_is_plain_as_it_is_exact_to_the_narrower_only(name):
    exact = torch.tensor(0.1, dtype=torch.float64)
    narrow = QuantTensor(torch.tensor([0.3]), exact, 0.0, 8.0, True)
    other = QuantTensor(torch.tensor([0.3], dtype=torch.float64), exact, 0.0, 8.0, True)
    call = {"cat": lambda a, b: torch.cat([a, b])}.get(name, getattr(torch, name))

    assert type(call(narrow, other)) is torch.Tensor


def test_numbers_are_divided_by_it_as_by_a_plain_tensor():
    x = of([1, 3])  # 0.5, 1.5

    assert (2 // x).tolist() == [4.0, 1.0]
    assert (2 % x).tolist() == [0.0, 0.5]
    assert f"{x[0]:.2f}" == "0.50"


def test_a_weighted_sum_is_plain():
    assert torch.add(of([1]), of([1]), alpha=2).tolist() == [1.5]


def test_the_opposite_of_the_lowest_integer_is_exact():
    x = of([-128, 127], zero_point=3.0)

    opposite = -x

    assert opposite.int().tolist() == [128, -127]
    assert opposite.zero_point == -3
    assert opposite.bit_width == 9
    assert opposite.is_valid


def test_the_opposite_of_an_unsigned_tensor_is_signed():
    opposite = -of([255, 0], signed=False)

    assert opposite.int().tolist() == [-255, 0]
    assert (opposite.signed, int(opposite.bit_width)) == (True, 9)


def test_the_magnitude_counts_from_the_zero_point():
    magnitude = abs(of([-128, 127], zero_point=-10.0))

    assert magnitude.int().tolist() == [118, 137]
    assert (magnitude.signed, int(magnitude.bit_width), float(magnitude.zero_point)) == (
        False,
        8,
        0,
    )


def test_a_product_folds_zero_points_and_multiplies_scales():
    product = of([3, 4], zero_point=1.0) * of([5, -6], zero_point=2.0, scale=0.25)

    assert product.int().tolist() == [6, -24]
    assert product.zero_point == 0
    assert product.scale == 0.125
    assert product.bit_width == 16  # (-128 - 1) * (-128 - 2) = 16770 < 2**15


def test_a_product_of_unsigned_tensors_has_the_sum_of_their_bits():
    product = of([255], signed=False) * of([15], bits=4, signed=False)

    assert product.int().tolist() == [255 * 15]
    assert (product.signed, int(product.bit_width), float(product.zero_point)) == (False, 12, 0)


@pytest.mark.parametrize("factor", [2.0, 0.3, 3, -0.5, -7])
def test_a_number_rescales(factor):
    x = of([-128, 5, 127], zero_point=4.0)

    for scaled in (x * factor, factor * x, torch.mul(x, factor), x / (1 / factor)):
        assert scaled.is_valid
        torch.testing.assert_close(scaled.value, x.value * factor)
    sign = 1 if factor > 0 else -1
    assert (x * factor).int().tolist() == [-128 * sign, 5 * sign, 127 * sign]


@pytest.mark.parametrize("factor", [0, float("inf"), float("nan"), 1e-30])
def test_a_number_that_is_no_scale_gives_a_plain_product(factor):
    product = of([1, 2]) * factor

    assert type(product) is torch.Tensor


def test_a_tensor_gives_a_plain_product():
    assert type(of([1, 2]) * torch.tensor(2.0)) is torch.Tensor
    assert type(torch.tensor(2.0) * of([1, 2])) is torch.Tensor


def test_metadata_that_is_missing_gives_plain_results():
    x = of([1, 2]).set(signed=None)

    for result in (x + x, x - x, x * x, -x, abs(x), x * 2.0):
        assert type(result) is torch.Tensor


def test_zero_points_beyond_the_half_type_stay_integers():
    x = QuantTensor(torch.tensor([0.0, 1.0], dtype=torch.bfloat16), 1.0, 201.0, 8.0, False)

    total = x + x.set(zero_point=torch.tensor(200.0))

    # 401 has nine significant bits, bfloat16 holds eight
    assert total.zero_point == 401
    assert total.int().tolist() == [401, 403]


def test_gradient_of_a_sum_and_a_product_flows_to_value_and_scale():
    value = torch.tensor([2.0], requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    x = QuantTensor(value, scale, 0.0, 8.0, True)

    product = x * x
    (product.value.sum() + product.scale).backward()

    assert value.grad.tolist() == [4.0]
    assert scale.grad == 1.0


def test_remaining_operators_compute_with_the_value():
    x = of([[1, 2], [3, 4]])
    v = x.value

    assert torch.equal(x @ x, v @ v)
    assert torch.equal(v @ x, v @ v)
    assert torch.equal(x**2, v**2)
    assert torch.equal(2**x, 2**v)
    assert torch.equal(1 / x, 1 / v)
    assert torch.equal(x / v, v / v)
    assert torch.equal(x // 1, v // 1)
    assert torch.equal(x % 1, v % 1)
