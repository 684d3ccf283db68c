"""Rounding modules at halves, zeros and beyond."""

import math

import pytest
import torch

from qat.components import CeilSte, DPURoundSte, FloorSte, RoundSte, RoundToZeroSte

INPUT = [-2.5, -1.5, -0.7, -0.0, 0.0, 0.5, 1.5, 2.3]
EXPECTED = {
    RoundSte: [-2.0, -2.0, -1.0, 0.0, 0.0, 0.0, 2.0, 2.0],
    FloorSte: [-3.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0],
    CeilSte: [-2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0],
    RoundToZeroSte: [-2.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0],
    DPURoundSte: [-2.0, -1.0, -1.0, 0.0, 0.0, 0.0, 2.0, 2.0],
}


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_value_is_the_exact_function_and_gradient_the_identity(kind, built, dtype, gradient):
    module = built(kind())
    x = torch.tensor(INPUT, dtype=dtype)
    assert module(x).tolist() == EXPECTED[kind]
    assert module(x).dtype == dtype
    assert gradient(module, x).tolist() == [1.0] * len(INPUT)


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_infinities_and_nan_stay_what_they_are(kind, built):
    y = built(kind())(torch.tensor([math.inf, -math.inf, math.nan]))
    assert y[:2].tolist() == [math.inf, -math.inf]
    assert y[2].isnan()


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_empty_and_strided_tensors_are_rounded(kind, built):
    module = built(kind())
    assert module(torch.empty(0, 3)).shape == (0, 3)
    grid = torch.tensor(INPUT).reshape(2, 4).t()
    assert torch.equal(module(grid), torch.tensor(EXPECTED[kind]).reshape(2, 4).t())
