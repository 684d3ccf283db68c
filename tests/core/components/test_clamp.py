"""Clamping modules: same values, different gradients."""

import math

import pytest
import torch

from qat.components import (
    ClampMin,
    InplaceTensorClampSte,
    ScalarClamp,
    ScalarClampMinSte,
    ScalarClampSte,
    TensorClamp,
    TensorClampSte,
)

INPUT = torch.tensor([-3.0, -1.0, 0.5, 2.0, 2.5])
LOW, HIGH = torch.tensor(-1.0), torch.tensor(2.0)


@pytest.mark.parametrize("kind", [TensorClamp, TensorClampSte])
def test_value_lies_within_the_bounds(kind, built, dtype):
    y = built(kind())(INPUT.to(dtype), LOW.to(dtype), HIGH.to(dtype))
    assert y.tolist() == [-1.0, -1.0, 0.5, 2.0, 2.0]
    assert y.dtype == dtype


def test_clamp_stops_the_gradient_outside_and_not_on_the_bounds(built, gradient):
    module = built(TensorClamp())
    grad = gradient(lambda x: module(x, LOW, HIGH), INPUT)
    assert grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_clamp_hands_the_gradient_of_the_outside_to_the_bounds(built):
    low, high = LOW.clone().requires_grad_(), HIGH.clone().requires_grad_()
    built(TensorClamp())(INPUT, low, high).sum().backward()
    assert (low.grad.item(), high.grad.item()) == (1.0, 1.0)


def test_straight_through_clamp_never_stops_the_gradient(built, gradient):
    module = built(TensorClampSte())
    assert gradient(lambda x: module(x, LOW, HIGH), INPUT).tolist() == [1.0] * 5


@pytest.mark.parametrize("kind", [TensorClamp, TensorClampSte])
def test_bounds_broadcast_and_nan_passes(kind, built):
    x = torch.tensor([[-9.0, 9.0], [math.nan, 0.0]])
    y = built(kind())(x, torch.tensor([[-1.0], [-2.0]]), torch.tensor([[1.0], [2.0]]))
    assert y[0].tolist() == [-1.0, 1.0]
    assert y[1, 0].isnan()


def test_clamp_from_below_keeps_dtype_and_gradient(built, dtype, gradient):
    module = built(ScalarClampMinSte(0.5))
    x = torch.tensor([-1.0, 0.5, 3.0], dtype=dtype)
    assert module(x).tolist() == [0.5, 0.5, 3.0]
    assert module(x).dtype == dtype
    assert gradient(module, x).tolist() == [1.0, 1.0, 1.0]


NUMBERS = [
    (lambda: ScalarClamp(-1.0, 2.0), [-1.0, -1.0, 0.5, 2.0, 2.0], [0.0, 1.0, 1.0, 1.0, 0.0]),
    (lambda: ScalarClampSte(-1.0, 2.0), [-1.0, -1.0, 0.5, 2.0, 2.0], [1.0] * 5),
    (lambda: ClampMin(-1.0), [-1.0, -1.0, 0.5, 2.0, 2.5], [0.0, 1.0, 1.0, 1.0, 1.0]),
]


@pytest.mark.parametrize(("make", "values", "gradients"), NUMBERS)
def test_clamp_by_numbers(make, values, gradients, built, dtype, gradient):
    module = built(make())
    assert module(INPUT.to(dtype)).tolist() == values
    assert gradient(module, INPUT.to(dtype)).tolist() == gradients


def test_clamp_in_place_overwrites_its_input(built):
    x = INPUT.clone()
    assert built(InplaceTensorClampSte())(x, LOW, HIGH).tolist() == x.tolist()
    assert x.tolist() == [-1.0, -1.0, 0.5, 2.0, 2.0]


def test_clamp_in_place_refuses_a_parameter():
    with pytest.raises(RuntimeError, match="would change a parameter"):
        InplaceTensorClampSte()(INPUT.clone().requires_grad_(), LOW, HIGH)


@pytest.mark.parametrize("kind", [ScalarClamp, ScalarClampSte])
def test_numbers_in_the_wrong_order_are_refused(kind):
    with pytest.raises(ValueError, match="min_val is 2.0, above max_val, 1.0; exchange them"):
        kind(2.0, 1.0)
