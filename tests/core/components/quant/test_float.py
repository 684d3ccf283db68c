"""Minifloat quantizers as modules: their scale, their parts, TorchScript."""

import copy
import pickle

import pytest
import torch

from qat import config, formats
from qat.components import (
    AbsMax,
    CeilSte,
    ConstScaling,
    FloatQuant,
    FloatScaling,
    FloorPowerOfTwoRestrictValue,
    FloorSte,
    ParameterScaling,
    PowerOfTwoFloatScaling,
    PowerOfTwoRestrictValue,
    RoundSte,
    StatsFromParameterScaling,
    TensorClamp,
    TensorClampSte,
)
from qat.components.scaling import ElementIntScaling
from qat.components.stats import MSE, FloatSearchGrid

E4M3, E2M1 = formats.E4M3_OCP, formats.E2M1


class Round(RoundSte):
    """The same rounding as a class of its own, which the quantizer calls part by part."""


def on_grid(steps, float_format):
    """Each of ``steps`` at the nearest number of the format; no halves among them."""
    numbers = torch.tensor(float_format.values(), dtype=torch.float64)
    return numbers[(steps.double().reshape(-1, 1) - numbers).abs().argmin(1)].reshape(steps.shape)


def test_the_scale_is_the_threshold_over_the_largest_number(built, dtype):
    quant = built(FloatQuant(E4M3, ConstScaling(7.0), FloatScaling(E4M3)).to(dtype))
    x = torch.randn(5, 6).to(dtype)
    y, scale, zero_point, bit_width = quant(x)
    torch.testing.assert_close(scale, torch.tensor(7.0 / 448, dtype=dtype))
    assert (zero_point, bit_width) == (0.0, 8.0)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    expected = on_grid(x.to(wide) / scale.to(wide), E4M3) * scale
    torch.testing.assert_close(y, expected.to(dtype))


def test_without_a_scale_numbers_are_rounded_to_those_of_the_format(built):
    y, scale, _, bit_width = built(FloatQuant(E2M1))(torch.tensor([0.2, -0.6, 2.4, 70.0]))
    assert y.tolist() == [0.0, -0.5, 2.0, 6.0]
    assert (scale, bit_width) == (1.0, 4.0)


def test_a_power_of_two_scale_divides_by_the_largest_power_of_two(built):
    threshold = ConstScaling(5.0, restrict_scaling_impl=PowerOfTwoRestrictValue(CeilSte()))
    quant = built(FloatQuant(E4M3, threshold, PowerOfTwoFloatScaling(E4M3)))
    assert quant(torch.randn(3))[1] == 8.0 / 256


@pytest.mark.parametrize(
    ("float_format", "clamp"),
    [(E4M3, TensorClamp), (formats.E5M2_FNUZ, TensorClampSte), (E2M1, TensorClampSte)],
)
def test_parts_called_one_by_one_give_the_same_as_the_op(built, clamp, float_format, dtype):
    x = torch.cat([torch.randn(40) * 2, torch.tensor([0.0, -0.0, 0.25, 1.25, 1e4, -1e4])])
    found = []
    for rounding in (RoundSte(), Round()):
        scaling = ParameterScaling(1.5)
        quant = FloatQuant(float_format, scaling, FloatScaling(float_format), rounding, clamp()).to(
            dtype
        )
        assert quant.fused == (type(rounding) is RoundSte)
        leaf = x.to(dtype).requires_grad_()
        y = built(quant)(leaf)[0]
        y.sum().backward()
        found.append((y.detach(), leaf.grad, scaling.value.grad))
    for fused, composed in zip(*found, strict=True):
        torch.testing.assert_close(composed, fused)


def test_other_roundings_work_on_the_mantissa(built):
    quant = built(FloatQuant(E2M1, float_to_int_impl=FloorSte()))
    assert quant(torch.tensor([0.9, 1.9, 3.9, 5.9]))[0].tolist() == [0.5, 1.5, 3.0, 4.0]


@pytest.mark.parametrize("rounding", [RoundSte, Round])
def test_without_saturation_what_is_beyond_becomes_nan_or_infinity(built, rounding):
    x = torch.tensor([500.0, -7e4, 3.0])
    y = built(FloatQuant(E4M3, float_to_int_impl=rounding(), saturating=False))(x)[0]
    assert y.isnan().tolist() == [True, True, False]
    wide = FloatQuant(formats.E5M2_OCP, float_to_int_impl=rounding(), saturating=False)
    assert built(wide)(x)[0].tolist() == [512.0, -torch.inf, 3.0]


def test_a_format_without_infinity_and_nan_can_only_saturate():
    with pytest.raises(ValueError, match="E2M1 has no code for infinity or NaN; use saturating"):
        FloatQuant(E2M1, saturating=False)


def test_quantization_can_start_late(built):
    quant = built(FloatQuant(E2M1, quant_delay_steps=1))
    x = torch.tensor([0.3])
    assert [quant(x)[0].item() for _ in range(2)] == [pytest.approx(0.3), 0.5]


def test_a_zero_tensor_has_a_scale_that_divides(built, dtype):
    scaling = StatsFromParameterScaling(AbsMax())
    y, scale, _, _ = built(FloatQuant(E4M3, scaling, FloatScaling(E4M3)).to(dtype))(
        torch.zeros(3, dtype=dtype)
    )
    assert scale == torch.finfo(dtype).smallest_normal
    assert y.tolist() == [0.0] * 3


def test_copies_and_pickles_give_the_same(backend):
    config.JIT_ENABLED = backend == "jit"
    quant = FloatQuant(E4M3, ParameterScaling(2.0), FloatScaling(E4M3))
    x = torch.randn(9)
    assert torch.equal(copy.deepcopy(quant)(x)[0], quant(x)[0])
    if backend != "jit":  # scripted modules are pickled by the proxies that hold them
        assert torch.equal(pickle.loads(pickle.dumps(quant))(x)[0], quant(x)[0])


def test_rounding_down_to_a_power_of_two_is_exact(dtype):
    # in this type the logarithm of the number below 1024 is 10
    below = torch.nextafter(torch.tensor(1024.0, dtype=dtype), torch.tensor(0.0, dtype=dtype))
    x = torch.stack([below, below.new_tensor(1024.0), below.new_tensor(-0.3)]).requires_grad_()
    y = FloorPowerOfTwoRestrictValue()(x)
    assert y.tolist() == [512.0, 1024.0, -0.25]
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y / x).detach())


def test_rounding_zero_down_to_a_power_of_two_leaves_no_nan():
    x = torch.tensor([0.0], requires_grad=True)
    y = FloorPowerOfTwoRestrictValue()(x)
    y.backward()
    assert (y.item(), x.grad.item()) == (2.0**-126, 0.0)


@pytest.mark.parametrize("signed, expected", [(True, 64.0), (False, 128.0)])
def test_integers_of_mx_are_counted_from_their_largest_power_of_two(signed, expected):
    assert ElementIntScaling(signed)(torch.tensor(8.0)) == expected


def test_the_search_for_the_least_error_knows_the_format(built):
    # with 11.52 in place of 12 the many are met better, at the cost of clipping one
    x = torch.cat([torch.full((99,), 0.9), torch.tensor([12.0])])
    threshold = built(MSE(FloatSearchGrid(E2M1, FloatScaling(E2M1))))(x)

    def error(t):
        steps = (x / (t / 6)).clamp(-6, 6)
        return float(((on_grid(steps, E2M1) * t / 6 - x) ** 2).sum())

    tried = [12.0 * i / 100 for i in range(1, 101)]
    assert error(float(threshold)) <= 1.05 * min(error(t) for t in tried)
    assert error(float(threshold)) < 0.6 * error(12.0)
