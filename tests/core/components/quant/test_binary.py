"""Binary quantizers."""

import math

import pytest
import torch

from qat.components import (
    BinaryQuant,
    ClampedBinaryQuant,
    ConstScaling,
    ParameterScaling,
    TensorClampSte,
)

INPUT = [-3.0, -0.5, -0.2, -0.0, 0.0, 0.2, 0.5, 3.0]
SIGNS = [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0]


@pytest.fixture(params=[BinaryQuant, ClampedBinaryQuant], ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def test_value_is_the_sign_times_the_scale(kind, backend, dtype):
    quant = kind(ConstScaling(0.5)).to(dtype)
    y, scale, zero_point, bit_width = quant(torch.tensor(INPUT, dtype=dtype))
    assert y.tolist() == [0.5 * sign for sign in SIGNS]
    assert (scale.item(), zero_point.item(), bit_width.item()) == (0.5, 0.0, 1.0)
    assert {item.dtype for item in (y, scale, zero_point, bit_width)} == {dtype}


def test_scale_per_channel_broadcasts(kind, backend):
    scale = torch.tensor([[0.5], [2.0]])
    y = kind(ConstScaling(scale))(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))[0]
    assert y.tolist() == [[0.5, -0.5], [-2.0, 2.0]]


def test_infinity_has_a_sign_and_nan_stays_nan(kind, backend):
    y = kind(ConstScaling(0.5))(torch.tensor([math.inf, -math.inf, math.nan]))[0]
    assert y[:2].tolist() == [0.5, -0.5]
    assert y[2].isnan()


def test_empty_and_strided_tensors_are_quantized(kind, backend):
    quant = kind(ConstScaling(0.5))
    assert quant(torch.empty(0, 2))[0].shape == (0, 2)
    strided = torch.tensor(INPUT).reshape(2, 4).t()
    assert torch.equal(quant(strided)[0], 0.5 * torch.tensor(SIGNS).reshape(2, 4).t())


def test_quantizing_twice_changes_nothing(kind, backend):
    quant = kind(ConstScaling(0.3))
    once = quant(torch.randn(20))[0]
    assert torch.equal(quant(once)[0], once)


def test_binary_gradient_is_the_scale_everywhere(backend, gradient):
    quant = BinaryQuant(ConstScaling(0.25))
    assert gradient(lambda x: quant(x)[0], torch.tensor(INPUT)).tolist() == [0.25] * 8


def test_clamped_binary_gradient_is_zero_beyond_the_scale(backend, gradient):
    quant = ClampedBinaryQuant(ConstScaling(0.5))
    grad = gradient(lambda x: quant(x)[0], torch.tensor(INPUT))
    # |x| is 3, .5, .2, 0, 0, .2, .5, 3: the bounds count as inside
    assert grad.tolist() == [0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0]


def test_clamp_of_ones_own_decides_about_the_gradient(backend, gradient):
    quant = ClampedBinaryQuant(ConstScaling(0.5), tensor_clamp_impl=TensorClampSte())
    assert gradient(lambda x: quant(x)[0], torch.tensor(INPUT)).tolist() == [0.5] * 8


def test_gradient_of_a_learned_scale_is_the_sum_of_the_signs(backend):
    quant = BinaryQuant(ParameterScaling(0.5))
    quant(torch.tensor(INPUT))[0].sum().backward()
    assert quant.scaling_impl.value.grad.item() == sum(SIGNS)


def test_scale_is_never_below_the_smallest_normal_number(kind, backend):
    y, scale, _, _ = kind(ParameterScaling(0.0))(torch.tensor([1.0, 0.0, -1.0]))
    assert scale.item() == 2.0**-126
    assert y.tolist() == [2.0**-126, 2.0**-126, -(2.0**-126)]


def test_input_is_never_changed_in_place(kind, backend):
    x = torch.tensor(INPUT, requires_grad=True)
    kind(ConstScaling(0.1))(x)[0].sum().backward()
    assert torch.equal(x.detach(), torch.tensor(INPUT))


def test_delay_hands_the_input_through_at_first(kind, backend):
    quant = kind(ConstScaling(0.5), quant_delay_steps=1)
    x = torch.tensor([0.7])
    assert quant(x)[0].item() == x.item()
    assert quant(x)[0].item() == 0.5
