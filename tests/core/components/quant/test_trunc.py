"""Truncation of accumulators: integers, their scale, and the gradient, against hand calculation."""

import pytest
import torch

from qat.components import (
    BitWidthConst,
    BitWidthParameter,
    ConstScaling,
    FloorSte,
    PowerOfTwoIntScaling,
    RoundSte,
    TensorClampSte,
    TruncIntQuant,
    TruncMsbScaling,
    TruncScalingWrapper,
)

F64 = torch.float64


def grid(scale=0.5, zero_point=0.0, bits=10.0, dtype=F64):
    return [torch.tensor(each, dtype=dtype) for each in (scale, zero_point, bits)]


def truncated(q, bits, rounding, input_bits, signed, zero_point=0.0):
    """Integers ``q`` divided by the power of two, in Python's exact arithmetic."""
    factor = 2 ** (input_bits - bits)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    result = [rounding(each, factor) for each in q]
    return [min(max(each, low), high) for each in result], factor


def floor(q, factor):
    return q // factor


def half_even(q, factor):
    return round(q / factor)


@pytest.mark.parametrize("impl, rounding", [(FloorSte, floor), (RoundSte, half_even)])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [2, 4, 8, 10])
def test_the_integers_lose_their_low_bits(impl, rounding, signed, bits, built):
    q = list(range(-512, 512)) if signed else list(range(1024))
    scale, zero_point, input_bits = grid()
    quant = built(TruncIntQuant(impl(), BitWidthConst(bits)))

    x = torch.tensor(q, dtype=F64) * scale
    y, out_scale, out_zero_point, out_bits = quant(x, scale, zero_point, input_bits, signed)

    expected, factor = truncated(q, bits, rounding, 10, signed)
    assert out_scale == 0.5 * factor and out_zero_point == 0 and out_bits == bits
    assert (y / out_scale).tolist() == expected


def test_signed_may_be_a_tensor(built):
    quant = built(TruncIntQuant(RoundSte(), BitWidthConst(4)))
    x = torch.tensor([0.04, -0.05, 0.31, -0.44])
    y, scale, _, _ = quant(x, *grid(0.01, 0.0, 8.0, torch.float32), torch.tensor(True))
    # q = 4, -5, 31, -44 over 16: 0.25, -0.3125, 1.9375, -2.75
    torch.testing.assert_close(y, torch.tensor([0.0, 0.0, 0.32, -0.48]))
    torch.testing.assert_close(scale, torch.tensor(0.16))


@pytest.mark.parametrize("zero_point", [128.0, 130.0])
def test_values_stay_where_they_were_around_a_zero_point(zero_point, built):
    scale, z, bits = grid(0.5, zero_point, 8.0)
    q = torch.arange(256, dtype=F64)
    quant = built(TruncIntQuant(FloorSte(), BitWidthConst(4)))
    y, out_scale, out_zero_point, _ = quant((q - zero_point) * 0.5, scale, z, bits, False)
    assert out_scale == 8.0 and out_zero_point == zero_point / 16
    assert torch.equal(y / out_scale + out_zero_point, torch.floor(q / 16))
    assert float((y - (q - zero_point) * 0.5).abs().max()) < out_scale


def test_what_precision_has_left_between_the_integers_is_not_a_whole_step(built):
    quant = built(TruncIntQuant(FloorSte(), BitWidthConst(8)))
    scale, zero_point, bits = grid(0.1, 0.0, 8.0, torch.float32)
    q = torch.arange(-128, 128).float()
    y, *_ = quant(q * scale * (1 - 2**-23), scale, zero_point, bits, True)
    assert torch.equal(torch.round(y / scale), q)


def test_a_wider_output_keeps_the_values(built):
    quant = built(TruncIntQuant(FloorSte(), BitWidthConst(8)))
    x = torch.arange(-8, 8, dtype=F64) * 0.5
    y, scale, _, bits = quant(x, *grid(0.5, 0.0, 4.0), True)
    assert torch.equal(y, x) and scale == 0.5 / 16 and bits == 8


def test_narrow_range_leaves_out_the_lowest_integer():
    quant = TruncIntQuant(FloorSte(), BitWidthConst(4), narrow_range=True)
    y, scale, _, _ = quant(torch.tensor([-512.0, 511.0]), *grid(1.0, dtype=torch.float32), True)
    assert (y / scale).tolist() == [-7, 7]


@pytest.mark.parametrize("clamp, outside", [(None, 0.0), (TensorClampSte, 1.0)])
def test_gradient_is_that_of_the_identity_inside_the_grid(clamp, outside, built, gradient):
    scaling = TruncScalingWrapper(PowerOfTwoIntScaling(), ConstScaling(32.0))  # 4 bits: by 4
    given = None if clamp is None else clamp()
    quant = built(TruncIntQuant(RoundSte(), BitWidthConst(4), scaling, False, given))
    q = torch.tensor([-500.0, -33.0, -5.0, 0.0, 27.0, 500.0], dtype=F64)
    found = gradient(lambda x: quant(x, *grid(), True)[0], q * 0.5)
    expected = torch.tensor([outside, 1.0, 1.0, 1.0, 1.0, outside], dtype=F64)
    torch.testing.assert_close(found, expected)


def test_gradient_to_the_scale_counts_what_was_rounded_away(built):
    # y = s t q(x / (s t)): dy/ds = t q - x / s inside, t q outside
    scale = torch.tensor(0.5, dtype=F64, requires_grad=True)
    _, zero_point, bits = grid()
    x = torch.tensor([3.5, -20.0, 255.5], dtype=F64)  # q_in 7, -40, 511; over 64: 0, -1, 8 -> 7
    quant = built(TruncIntQuant(RoundSte(), BitWidthConst(4)))
    y = quant(x, scale, zero_point, bits, True)[0]
    assert y.tolist() == [0.0, -32.0, 224.0]
    y.sum().backward()
    torch.testing.assert_close(scale.grad, torch.tensor(-7.0 + (-64 + 40) + 64 * 7, dtype=F64))


def test_a_learned_bit_width_gets_a_gradient(built):
    quant = built(TruncIntQuant(RoundSte(), BitWidthParameter(4)))
    y, *_ = quant(torch.tensor([100.0, 511.0]), *grid(1.0, dtype=torch.float32), True)
    y.sum().backward()
    assert all(bool(p.grad.isfinite() & (p.grad != 0)) for p in quant.parameters())


def test_delay_hands_the_input_through_for_its_steps(built):
    quant = built(TruncIntQuant(FloorSte(), BitWidthConst(2), quant_delay_steps=1))
    x = torch.tensor([3.0])
    arguments = (*grid(1.0, 0.0, 4.0, torch.float32), True)
    assert torch.equal(quant(x, *arguments)[0], x)
    assert quant(x, *arguments)[0].item() == 0.0


def test_dtypes_come_out_as_they_went_in(dtype, built):
    quant = built(TruncIntQuant(FloorSte(), BitWidthConst(8)))
    # a 30 bit accumulator: the factor 2**22 is no float16 number, the output scale is
    x = torch.tensor([1.0, -3.0, 0.0], dtype=dtype)
    scale = torch.tensor(2.0**-14, dtype=dtype)
    y, out_scale, zero_point, bits = quant(
        x, scale, *grid(dtype=dtype)[1:2], torch.tensor(30.0), True
    )
    assert (y.dtype, out_scale.dtype, zero_point.dtype) == (dtype, dtype, dtype)
    assert out_scale == 2.0**8 and bits == 8 and y.tolist() == [0.0, -256.0, 0.0]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (1, 3), (2, 3, 4, 4)])
def test_shape_and_memory_format_are_kept(shape, built):
    quant = built(TruncIntQuant(FloorSte(), BitWidthConst(4)))
    x = torch.randn(shape)
    if len(shape) == 4:
        x = x.to(memory_format=torch.channels_last)
    y, *_ = quant(x, *grid(dtype=torch.float32), True)
    assert y.shape == x.shape and y.stride() == x.stride()


def test_infinities_saturate_and_nan_stays(built):
    quant = built(TruncIntQuant(FloorSte(), BitWidthConst(4)))
    x = torch.tensor([torch.inf, -torch.inf, torch.nan])
    y, scale, _, _ = quant(x, *grid(1.0, dtype=torch.float32), True)
    assert (y[:2] / scale).tolist() == [7, -8] and bool(y[2].isnan())


# How many bits are dropped


def test_msb_scaling_is_the_power_of_two_between_the_widths(built):
    scaling = built(TruncMsbScaling())
    found = scaling(torch.zeros(1), torch.tensor(12.0), torch.tensor(8.0), True)
    assert found == 16


@pytest.mark.parametrize(
    "threshold, input_bits, bits, signed, factor",
    [
        (256.0, 12.0, 8.0, True, 2.0),  # 2**8 on 2**7
        (256.0, 12.0, 8.0, False, 1.0),  # 2**8 on 2**8
        (2.0**20, 12.0, 8.0, True, 16.0),  # not more than the widths leave
        (1.0, 12.0, 8.0, True, 1.0),  # and no finer grid
        (1.0, 4.0, 8.0, True, 1.0 / 16),  # but where the output is wider
        (2.0**9, 4.0, 8.0, True, 1.0),
    ],
)
def test_wrapper_scaling_follows_the_threshold_in_its_bounds(
    threshold, input_bits, bits, signed, factor, built
):
    scaling = built(TruncScalingWrapper(PowerOfTwoIntScaling(), ConstScaling(threshold)))
    found = scaling(torch.zeros(1), torch.tensor(input_bits), torch.tensor(bits), signed)
    assert found == factor


def test_signed_of_the_call_wins_over_that_of_the_integer_scaling(built):
    scaling = built(PowerOfTwoIntScaling(signed=True))
    bits = torch.tensor(8.0)
    assert scaling(bits) == 128 and scaling(bits, False) == 256
