"""Clamping modules, same values with different gradients; accumulators clamped to fewer bits."""

import math

import pytest
import torch

from qat.components import (
    BitWidthConst,
    ClampMin,
    InplaceTensorClampSte,
    IntQuant,
    MsbClampBitWidth,
    PrescaledRestrictIntQuantWithInputBitWidth,
    RemoveBitwidthParameter,
    ScalarClamp,
    ScalarClampMinSte,
    ScalarClampSte,
    TensorClamp,
    TensorClampSte,
)

INPUT = torch.tensor([-3.0, -1.0, 0.5, 2.0, 2.5])
LOW, HIGH = torch.tensor(-1.0), torch.tensor(2.0)
BOTH, BELOW = [-1.0, -1.0, 0.5, 2.0, 2.0], [-1.0, -1.0, 0.5, 2.0, 2.5]


@pytest.mark.parametrize(
    ("kind", "numbers", "values", "gradients"),
    [
        (TensorClamp, (), BOTH, [0.0, 1.0, 1.0, 1.0, 0.0]),  # not stopped on the bounds
        (TensorClampSte, (), BOTH, [1.0] * 5),
        (ScalarClamp, (-1.0, 2.0), BOTH, [0.0, 1.0, 1.0, 1.0, 0.0]),
        (ScalarClampSte, (-1.0, 2.0), BOTH, [1.0] * 5),
        (ClampMin, (-1.0,), BELOW, [0.0, 1.0, 1.0, 1.0, 1.0]),
        (ScalarClampMinSte, (-1.0,), BELOW, [1.0] * 5),
    ],
    ids=lambda item: item.__name__ if isinstance(item, type) else "",
)
def test_values_lie_within_the_bounds_and_the_gradient_is_that_of_the_kind(
    kind, numbers, values, gradients, built, dtypes, gradient
):
    module = built(kind(*numbers))
    for dtype in dtypes:
        bounds = () if numbers else (LOW.to(dtype), HIGH.to(dtype))
        y = module(INPUT.to(dtype), *bounds)
        assert (y.tolist(), y.dtype) == (values, dtype)
        found = gradient(lambda x, bounds=bounds: module(x, *bounds), INPUT.to(dtype))
        assert found.tolist() == gradients


def test_clamp_hands_the_gradient_of_the_outside_to_the_bounds(built):
    low, high = LOW.clone().requires_grad_(), HIGH.clone().requires_grad_()
    built(TensorClamp())(INPUT, low, high).sum().backward()
    assert (low.grad.item(), high.grad.item()) == (1.0, 1.0)


@pytest.mark.parametrize("kind", [TensorClamp, TensorClampSte])
def test_bounds_broadcast_and_nan_passes(kind, built):
    x = torch.tensor([[-9.0, 9.0], [math.nan, 0.0]])
    y = built(kind())(x, torch.tensor([[-1.0], [-2.0]]), torch.tensor([[1.0], [2.0]]))
    assert y[0].tolist() == [-1.0, 1.0]
    assert y[1, 0].isnan()


def test_clamp_in_place_overwrites_its_input(built):
    x = INPUT.clone()
    assert built(InplaceTensorClampSte())(x, LOW, HIGH).tolist() == x.tolist()
    assert x.tolist() == BOTH


def test_clamp_in_place_refuses_a_parameter():
    with pytest.raises(RuntimeError, match="would change a parameter"):
        InplaceTensorClampSte()(INPUT.clone().requires_grad_(), LOW, HIGH)


@pytest.mark.parametrize("kind", [ScalarClamp, ScalarClampSte])
def test_numbers_in_the_wrong_order_are_refused(kind):
    with pytest.raises(ValueError, match="min_val is 2.0, above max_val, 1.0; exchange them"):
        kind(2.0, 1.0)


# Accumulators: the integers lose their high bits, by saturation


def clamp(signed=True, remove=4, low=2, high=32):
    bits = MsbClampBitWidth(BitWidthConst(remove), low, high)
    return PrescaledRestrictIntQuantWithInputBitWidth(IntQuant(False, signed), bits)


@pytest.mark.parametrize("signed, low, high", [(True, -16, 15), (False, 0, 31)])
@pytest.mark.parametrize("zero_point", [None, 3.0])
def test_scale_and_zero_point_stay_and_the_rest_saturates(signed, low, high, zero_point, built):
    quant = built(clamp(signed, remove=4))
    q = torch.arange(-256, 256).double()
    z = 0.0 if zero_point is None else zero_point
    given = () if zero_point is None else (torch.tensor(z).double(),)
    scale = torch.tensor(0.25).double()
    y, out_scale, out_zero_point, bits = quant((q - z) * 0.25, scale, torch.tensor(9.0), *given)
    assert torch.equal(y / 0.25 + z, q.clamp(low, high))
    assert (out_scale, out_zero_point, bits) == (0.25, z, 5)


def test_gradient_is_zero_where_it_saturates(built, gradient):
    quant = built(clamp(remove=4))
    x = torch.tensor([-100.0, -16.0, 3.0, 15.0, 100.0])
    found = gradient(lambda x: quant(x, torch.tensor(1.0), torch.tensor(9.0))[0], x)
    assert found.tolist() == [0, 1, 1, 1, 0]


def test_a_learned_number_of_bits_makes_whole_bits_and_moves(built):
    bits = MsbClampBitWidth(RemoveBitwidthParameter(3), 2, 32)
    with torch.no_grad():
        bits.bit_width_to_remove_impl.bit_width_coeff.mul_(1.1)  # 1 / (1.1 / 3) = 2.73 bits
    quant = built(PrescaledRestrictIntQuantWithInputBitWidth(IntQuant(False, True), bits))
    y, _, _, width = quant(torch.tensor([500.0, 2.0]), torch.tensor(1.0), torch.tensor(9.0))
    assert width == 6 and y.tolist() == [31.0, 2.0]
    y.sum().backward()
    (coefficient,) = quant.parameters()
    assert coefficient.grad != 0
