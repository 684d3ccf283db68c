"""Integer quantizers: the numbers, and the gradient of learned step sizes."""

import math

import pytest
import torch

from qat.components import (
    AbsMax,
    BitWidthConst,
    ConstScaling,
    FloorSte,
    IntQuant,
    IntScaling,
    ParameterScaling,
    PrescaledRestrictIntQuant,
    RescalingIntQuant,
    StatsFromParameterScaling,
    TensorClampSte,
    ZeroZeroPoint,
)

SCALE, ZERO, BITS = torch.tensor(0.5), torch.tensor(0.0), torch.tensor(3.0)
# x / 0.5:  -20,  -4.5, -2.5, -1.5, -0.0, 0.5, 1.5, 2.5, 3.4, 20
INPUT = [-10.0, -2.25, -1.25, -0.75, -0.0, 0.25, 0.75, 1.25, 1.7, 10.0]
HALVES_TO_EVEN = [-4.0, -4.0, -2.0, -2.0, 0.0, 0.0, 2.0, 2.0, 3.0, 3.0]


def rescaling(scaling, bits=3, signed=True, narrow_range=False, **kwargs):
    return RescalingIntQuant(
        IntQuant(narrow_range, signed, **kwargs),
        scaling,
        IntScaling(signed, narrow_range),
        ZeroZeroPoint(),
        BitWidthConst(bits),
    )


def test_integers_are_rounded_half_to_even_and_clamped(built, dtype):
    quant = built(IntQuant(narrow_range=False, signed=True))
    x = torch.tensor(INPUT, dtype=dtype)
    q = quant.to_int(SCALE.to(dtype), ZERO.to(dtype), BITS.to(dtype), x)
    assert q.tolist() == HALVES_TO_EVEN
    y = quant(SCALE.to(dtype), ZERO.to(dtype), BITS.to(dtype), x)
    assert y.tolist() == [0.5 * code for code in HALVES_TO_EVEN]
    assert y.dtype == dtype


@pytest.mark.parametrize(
    ("signed", "narrow_range", "low", "high"),
    [(True, False, -4, 3), (True, True, -3, 3), (False, False, 0, 7), (False, True, 0, 6)],
)
def test_grid_ends_where_signed_and_narrow_range_say(signed, narrow_range, low, high, built):
    quant = built(IntQuant(narrow_range, signed))
    assert (quant.min_int(BITS).item(), quant.max_int(BITS).item()) == (low, high)
    ends = quant(SCALE, ZERO, BITS, torch.tensor([-100.0, 100.0]))
    assert ends.tolist() == [0.5 * low, 0.5 * high]


def test_zero_point_shifts_the_integers_and_zero_stays_exact(built):
    quant = built(IntQuant(narrow_range=False, signed=False))
    x = torch.tensor([-9.0, -1.0, 0.0, 0.6, 9.0])
    zero_point = torch.tensor(3.0)
    assert quant.to_int(SCALE, zero_point, BITS, x).tolist() == [0.0, 1.0, 3.0, 4.0, 7.0]
    assert quant(SCALE, zero_point, BITS, x).tolist() == [-1.5, -1.0, 0.0, 0.5, 2.0]


def test_scale_and_zero_point_per_channel_broadcast(built):
    quant = built(IntQuant(narrow_range=False, signed=True))
    x = torch.tensor([[1.0, -9.0], [1.0, 9.0]])
    scale, zero_point = torch.tensor([[0.5], [0.25]]), torch.tensor([[0.0], [1.0]])
    assert quant(scale, zero_point, BITS, x).tolist() == [[1.0, -2.0], [0.5, 0.5]]


def test_infinity_saturates_and_nan_stays_nan(built):
    quant = built(IntQuant(narrow_range=False, signed=True))
    y = quant(SCALE, ZERO, BITS, torch.tensor([math.inf, -math.inf, math.nan]))
    assert y[:2].tolist() == [1.5, -2.0]
    assert y[2].isnan()


def test_empty_and_strided_tensors_are_quantized(built):
    quant = built(IntQuant(narrow_range=False, signed=True))
    assert quant(SCALE, ZERO, BITS, torch.empty(2, 0)).shape == (2, 0)
    strided = torch.tensor(INPUT).reshape(2, 5).t()
    expected = 0.5 * torch.tensor(HALVES_TO_EVEN).reshape(2, 5).t()
    assert torch.equal(quant(SCALE, ZERO, BITS, strided), expected)


def test_rounding_of_ones_own_is_used(built):
    quant = built(IntQuant(False, True, float_to_int_impl=FloorSte()))
    assert quant(SCALE, ZERO, BITS, torch.tensor([0.9, -0.1])).tolist() == [0.5, -0.5]


def test_gradient_to_the_input_is_one_inside_and_zero_outside(built, gradient):
    quant = built(IntQuant(narrow_range=False, signed=True))
    x = torch.tensor([-10.0, -2.0, -0.3, 0.3, 1.5, 1.7, 1.8, 10.0])  # 1.7 rounds to 3, 1.8 to 4
    grad = gradient(lambda item: quant(SCALE, ZERO, BITS, item), x)
    assert grad.tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]


def test_gradient_to_the_scale_is_that_of_learned_step_sizes(built):
    x = torch.tensor([-10.0, -0.3, 0.3, 1.2, 10.0])
    scale = torch.full((5,), 0.5, requires_grad=True)
    built(IntQuant(narrow_range=False, signed=True))(scale, ZERO, BITS, x).sum().backward()
    # q - x / s inside, q outside: -4; -1 + .6; 1 - .6; 2 - 2.4; 3
    torch.testing.assert_close(scale.grad, torch.tensor([-4.0, -0.4, 0.4, -0.4, 3.0]))


def test_straight_through_clamp_lets_the_gradient_pass_outside(built, gradient):
    quant = built(IntQuant(False, True, tensor_clamp_impl=TensorClampSte()))
    grad = gradient(lambda item: quant(SCALE, ZERO, BITS, item), torch.tensor([-10.0, 0.3, 10.0]))
    assert grad.tolist() == [1.0, 1.0, 1.0]


def test_rescaling_quantizer_divides_the_threshold_by_the_integer_range(backend, dtype):
    quant = rescaling(ConstScaling(2.0), bits=3).to(dtype)
    y, scale, zero_point, bit_width = quant(torch.tensor(INPUT, dtype=dtype))
    assert y.tolist() == [0.5 * code for code in HALVES_TO_EVEN]
    assert (scale.item(), zero_point.item(), bit_width.item()) == (0.5, 0.0, 3.0)
    assert {item.dtype for item in (y, scale, zero_point, bit_width)} == {dtype}


def test_gradient_of_a_learned_threshold_is_that_of_the_scale_over_the_range(backend):
    quant = rescaling(ParameterScaling(2.0), bits=3)
    quant(torch.tensor([-10.0, -0.3, 0.3, 1.2, 10.0]))[0].sum().backward()
    # sum of the five gradients to the scale above, and d scale / d threshold = 1 / 4
    assert quant.scaling_impl.value.grad.item() == pytest.approx(-1.4 / 4, abs=1e-6)


def test_quantizing_twice_changes_nothing(backend):
    quant = rescaling(ConstScaling(1.7), bits=4, narrow_range=True)
    once = quant(torch.randn(50))[0]
    assert torch.equal(quant(once)[0], once)


def test_all_zero_channel_quantizes_to_zeros_with_a_finite_gradient(backend, dtype):
    scaling = StatsFromParameterScaling(AbsMax(1), scaling_shape=(2, 1))
    scaling.stats_input_view_shape_impl = torch.nn.Identity()
    quant = rescaling(scaling, bits=8, narrow_range=True)
    x = torch.tensor([[0.0, 0.0], [1.0, -2.0]], dtype=dtype, requires_grad=True)
    y, scale, _, _ = quant.to(dtype)(x)
    y.sum().backward()
    assert y[0].tolist() == [0.0, 0.0]
    assert scale.min().item() >= torch.finfo(dtype).tiny
    assert bool(x.grad.isfinite().all())


def test_scale_is_never_below_the_smallest_normal_number(backend):
    quant = rescaling(ParameterScaling(0.0), bits=8)
    y, scale, _, _ = quant(torch.tensor([1.0, 0.0]))
    assert scale.item() == pytest.approx(2.0**-126)
    assert bool(y.isfinite().all())


def test_delay_hands_the_input_through_at_first(backend):
    quant = rescaling(ConstScaling(2.0), bits=3, quant_delay_steps=1)
    x = torch.tensor([0.6])
    assert quant(x)[0].item() == x.item()
    assert quant(x)[0].item() == 0.5


def test_prescaled_quantizer_takes_its_scale_from_the_caller(backend, dtype):
    quant = PrescaledRestrictIntQuant(IntQuant(False, True), BitWidthConst(3)).to(dtype)
    x = torch.tensor(INPUT, dtype=dtype)
    y, scale, zero_point, bit_width = quant(x, SCALE.to(dtype))
    assert y.tolist() == [0.5 * code for code in HALVES_TO_EVEN]
    assert (scale.item(), zero_point.item(), bit_width.item()) == (0.5, 0.0, 3.0)
    assert {item.dtype for item in (y, scale, zero_point, bit_width)} == {dtype}


def test_prescaled_quantizer_survives_a_scale_of_zero(backend):
    quant = PrescaledRestrictIntQuant(IntQuant(False, True), BitWidthConst(8))
    y, scale, _, _ = quant(torch.zeros(2), torch.zeros(2))
    assert y.tolist() == [0.0, 0.0]
    assert bool((scale > 0).all())
