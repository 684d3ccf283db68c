"""Restrictions of scales, both ways."""

import pytest
import torch

from qat.components import (
    CeilSte,
    FloatRestrictValue,
    IntRestrictValue,
    LogFloatRestrictValue,
    ParameterScaling,
    PowerOfTwoRestrictValue,
    SignedFloatRestrictValue,
)
from qat.components.restrict import RESTRICT

SCALES = torch.tensor([0.2, 0.25, 1.0, 3.0, 48.0])
RESTRICTIONS = list(RESTRICT.values())


@pytest.mark.parametrize(
    "kind", [FloatRestrictValue, SignedFloatRestrictValue, LogFloatRestrictValue]
)
def test_float_restrictions_bring_back_what_was_stored(kind, built):
    restrict = kind()
    stored = built(restrict.preprocess())(SCALES)
    torch.testing.assert_close(built(restrict)(stored), SCALES)


def test_power_of_two_rounds_the_exponent(built):
    restrict = PowerOfTwoRestrictValue()
    stored = built(restrict.preprocess())(SCALES)
    # log2: -2.32, -2, 0, 1.58, 5.58
    assert built(restrict)(stored).tolist() == [0.25, 0.25, 1.0, 4.0, 64.0]


def test_power_of_two_with_ceil_never_makes_a_scale_smaller(built):
    scales = torch.logspace(-3, 3, 50)
    restrict = PowerOfTwoRestrictValue(CeilSte())
    restricted = built(restrict)(built(restrict.preprocess())(scales))
    assert bool((restricted >= scales).all())
    assert bool((restricted < 2 * scales).all())
    assert bool((torch.frexp(restricted)[0] == 0.5).all())  # a power of two has mantissa 0.5


def test_whole_number_is_the_nearest_or_as_the_rounding_says(built, gradient):
    x = torch.tensor([0.2, 1.5, 2.5, -3.7])
    assert built(IntRestrictValue())(x).tolist() == [0.0, 2.0, 2.0, -4.0]
    assert built(IntRestrictValue(CeilSte()))(x).tolist() == [1.0, 2.0, 3.0, -3.0]
    assert gradient(built(IntRestrictValue()), x).tolist() == [1.0] * 4


def test_power_of_two_gradient_is_straight_through_the_rounding(built, gradient):
    restrict = built(PowerOfTwoRestrictValue())
    grad = gradient(restrict, torch.tensor([0.4, 1.7]))
    # d 2**round(x) / dx = ln 2 * 2**round(x)
    torch.testing.assert_close(grad, torch.tensor([0.693147, 4 * 0.693147]))


@pytest.mark.parametrize("kind", RESTRICTIONS)
def test_zero_is_stored_as_a_finite_number(kind, built, dtypes):
    preprocess = built(kind().preprocess())
    for dtype in dtypes:
        stored = preprocess(torch.zeros(2, dtype=dtype))
        assert bool(stored.isfinite().all())
        assert stored.dtype == dtype


@pytest.mark.parametrize("kind", RESTRICTIONS)
def test_learned_scale_starts_where_it_is_told(kind, built):
    start = 4.0 if kind is IntRestrictValue else 0.25
    scaling = built(ParameterScaling(start, restrict_scaling_impl=kind()))
    assert scaling(torch.zeros(1)).item() == start
