"""The ternary quantizer."""

import math

import pytest
import torch

from qat.components import ConstScaling, ParameterScaling, TernaryQuant

# with scale 0.5 and threshold 0.5 the zero zone is |x| <= 0.25
INPUT = [-3.0, -0.375, -0.25, -0.1, -0.0, 0.0, 0.25, 0.375, 3.0]
CODES = [-1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]


def test_value_is_zero_in_the_zero_zone_and_else_the_sign(backend, dtype):
    quant = TernaryQuant(ConstScaling(0.5), 0.5).to(dtype)
    y, scale, zero_point, bit_width = quant(torch.tensor(INPUT, dtype=dtype))
    assert y.tolist() == [0.5 * code for code in CODES]
    assert (scale.item(), zero_point.item(), bit_width.item()) == (0.5, 0.0, 2.0)
    assert {item.dtype for item in (y, scale, zero_point, bit_width)} == {dtype}


def test_threshold_zero_leaves_only_zero_at_zero(backend):
    y = TernaryQuant(ConstScaling(0.5), 0.0)(torch.tensor([-1e-30, -0.0, 0.0, 1e-30]))[0]
    assert y.tolist() == [-0.5, 0.0, 0.0, 0.5]


def test_infinity_has_a_sign_and_nan_stays_nan(backend):
    y = TernaryQuant(ConstScaling(0.5), 0.5)(torch.tensor([math.inf, -math.inf, math.nan]))[0]
    assert y[:2].tolist() == [0.5, -0.5]
    assert y[2].isnan()


def test_gradient_is_the_scale_where_the_result_is_not_zero(backend, gradient):
    quant = TernaryQuant(ConstScaling(0.5), 0.5)
    grad = gradient(lambda x: quant(x)[0], torch.tensor(INPUT))
    assert grad.tolist() == [0.5 * abs(code) for code in CODES]


def test_gradient_of_a_learned_scale_is_the_sum_of_the_codes(backend):
    quant = TernaryQuant(ParameterScaling(0.5), 0.5)
    quant(torch.tensor([-3.0, 0.1, 2.0, 4.0]))[0].sum().backward()
    assert quant.scaling_impl.value.grad.item() == 1.0


def test_scale_is_never_below_the_smallest_normal_number(backend):
    y, scale, _, _ = TernaryQuant(ParameterScaling(0.0), 0.5)(torch.tensor([1.0, 0.0, -1.0]))
    assert scale.item() == 2.0**-126
    assert y.tolist() == [2.0**-126, 0.0, -(2.0**-126)]


def test_quantizing_twice_changes_nothing(backend):
    quant = TernaryQuant(ConstScaling(0.3), 0.7)
    once = quant(torch.randn(20))[0]
    assert torch.equal(quant(once)[0], once)


def test_empty_and_strided_tensors_are_quantized(backend):
    quant = TernaryQuant(ConstScaling(0.5), 0.5)
    assert quant(torch.empty(0))[0].shape == (0,)
    strided = torch.tensor(INPUT).reshape(3, 3).t()
    assert torch.equal(quant(strided)[0], 0.5 * torch.tensor(CODES).reshape(3, 3).t())


@pytest.mark.parametrize("threshold", [-0.1, float("inf"), float("nan")])
def test_threshold_outside_its_range_is_refused(threshold):
    with pytest.raises(ValueError, match=f"threshold is {threshold}; it must be a number from 0"):
        TernaryQuant(ConstScaling(0.5), threshold)


@pytest.mark.parametrize("threshold", [1.0, 2.5])
def test_zone_of_zeros_may_be_wider_than_the_scale(backend, threshold):
    x = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.3, 2.0])
    wanted = torch.where(x.abs() > 0.5 * threshold, x.sign() * 0.5, torch.zeros(()))
    assert torch.equal(TernaryQuant(ConstScaling(0.5), threshold)(x)[0], wanted)


def test_delay_hands_the_input_through_at_first(backend):
    quant = TernaryQuant(ConstScaling(0.5), 0.5, quant_delay_steps=1)
    x = torch.tensor([0.7])
    assert quant(x)[0].item() == x.item()
    assert quant(x)[0].item() == 0.5
