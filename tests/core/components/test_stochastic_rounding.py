"""Rounding by chance: its mean, its repeatability, its values in evaluation."""

import math

import pytest
import torch

from qat.components import StochasticRoundSte


@pytest.mark.parametrize("number", [0.25, -0.25, 2.9, -7.5, 0.001])
def test_mean_is_the_number_and_both_neighbours_occur(number, built):
    torch.manual_seed(0)
    module = built(StochasticRoundSte())
    y = module(torch.full((200_000,), number))
    assert set(y.tolist()) == {math.floor(number), math.ceil(number)}
    # the deviation of a mean of n draws with the chance p is sqrt(p (1 - p) / n)
    p = number - math.floor(number)
    assert abs(y.mean().item() - number) < 5 * math.sqrt(p * (1 - p) / y.numel())


@pytest.mark.parametrize("number", [-3.0, 0.0, 2.0**25, -(2.0**23) + 1])
def test_whole_numbers_stay(number, built):
    x = torch.full((1000,), number)
    assert torch.equal(built(StochasticRoundSte())(x), x)


def test_small_chances_are_met_in_half_types(dtype, built):
    torch.manual_seed(0)
    y = built(StochasticRoundSte())(torch.full((2**18,), 2.0**-10, dtype=dtype))
    assert y.dtype == dtype
    # 256 expected, deviation 16
    assert 176 < y.double().sum().item() < 336


def test_same_seed_gives_the_same_integers(built):
    module, x = built(StochasticRoundSte()), torch.randn(100)
    torch.manual_seed(3)
    first = module(x)
    second = module(x)
    torch.manual_seed(3)
    assert torch.equal(module(x), first)
    assert not torch.equal(first, second)


def test_gradient_is_the_identity(built, gradient, dtype):
    for mode in (True, False):
        module = built(StochasticRoundSte()).train(mode)
        assert gradient(module, torch.tensor([-1.5, 0.2, 3.0], dtype=dtype)).tolist() == [1.0] * 3


def test_evaluation_rounds_to_the_nearest(built):
    module = built(StochasticRoundSte()).eval()
    assert module(torch.tensor([-1.5, 0.4, 0.5, 0.6])).tolist() == [-2.0, 0.0, 0.0, 1.0]


def test_evaluation_draws_where_asked_to(built):
    torch.manual_seed(0)
    module = built(StochasticRoundSte(deterministic_inference=False)).eval()
    assert set(module(torch.full((100,), 0.5)).tolist()) == {0.0, 1.0}


def test_infinities_nan_empty_and_strided_tensors(built):
    module = built(StochasticRoundSte())
    y = module(torch.tensor([math.inf, -math.inf, math.nan]))
    assert y[:2].tolist() == [math.inf, -math.inf]
    assert y[2].isnan()
    assert module(torch.empty(0, 3)).shape == (0, 3)
    images = torch.full((2, 3, 4, 4), 5.0).to(memory_format=torch.channels_last)
    assert torch.equal(module(images), images)
    assert module(images).is_contiguous(memory_format=torch.channels_last)
