"""Rounding: by the number alone, by chance, by a learned number."""

import math

import pytest
import torch

from qat.components import (
    CeilSte,
    DPURoundSte,
    FloorSte,
    LearnedRoundHardSigmoid,
    LearnedRoundIdentity,
    LearnedRoundSigmoid,
    LearnedRoundSte,
    RoundSte,
    RoundToZeroSte,
    StochasticRoundSte,
)

INPUT = [-2.5, -1.5, -0.7, -0.0, 0.0, 0.5, 1.5, 2.3]
EXPECTED = {
    RoundSte: [-2.0, -2.0, -1.0, 0.0, 0.0, 0.0, 2.0, 2.0],
    FloorSte: [-3.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0],
    CeilSte: [-2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0],
    RoundToZeroSte: [-2.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0],
    DPURoundSte: [-2.0, -1.0, -1.0, 0.0, 0.0, 0.0, 2.0, 2.0],
}
by_the_number = pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)


@by_the_number
def test_value_is_the_exact_function_and_gradient_the_identity(kind, built, dtypes, gradient):
    module = built(kind())
    for dtype in dtypes:
        x = torch.tensor(INPUT, dtype=dtype)
        assert module(x).tolist() == EXPECTED[kind]
        assert module(x).dtype == dtype
        assert gradient(module, x).tolist() == [1.0] * len(INPUT)


@pytest.mark.parametrize("kind", [*EXPECTED, StochasticRoundSte], ids=lambda kind: kind.__name__)
def test_infinities_and_nan_stay_and_empty_and_strided_tensors_keep_their_form(kind, built):
    module = built(kind())
    y = module(torch.tensor([math.inf, -math.inf, math.nan]))
    assert y[:2].tolist() == [math.inf, -math.inf]
    assert y[2].isnan()
    assert module(torch.empty(0, 3)).shape == (0, 3)
    images = torch.full((2, 3, 4, 4), 5.0).to(memory_format=torch.channels_last)
    assert torch.equal(module(images), images)
    assert module(images).is_contiguous(memory_format=torch.channels_last)


@by_the_number
def test_strided_tensors_are_rounded_in_their_order(kind, built):
    grid = torch.tensor(INPUT).reshape(2, 4).t()
    assert torch.equal(built(kind())(grid), torch.tensor(EXPECTED[kind]).reshape(2, 4).t())


# By chance


def test_mean_is_the_number_and_both_neighbours_occur(built):
    module = built(StochasticRoundSte())
    for number in (0.25, -0.25, 2.9, -7.5, 0.001):
        y = module(torch.full((50_000,), number))
        assert set(y.tolist()) == {math.floor(number), math.ceil(number)}
        # the deviation of a mean of n draws with the chance p is sqrt(p (1 - p) / n)
        p = number - math.floor(number)
        assert abs(y.mean().item() - number) < 5 * math.sqrt(p * (1 - p) / y.numel())


def test_whole_numbers_are_not_left_to_chance(built):
    x = torch.tensor([-3.0, 0.0, 2.0**25, -(2.0**23) + 1]).repeat(1000)
    assert torch.equal(built(StochasticRoundSte())(x), x)


def test_small_chances_are_met_in_half_types(built, dtypes):
    module = built(StochasticRoundSte())
    for dtype in dtypes:
        y = module(torch.full((2**18,), 2.0**-10, dtype=dtype))
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


def test_gradient_of_a_chance_is_the_identity(built, gradient, dtypes):
    for mode in (True, False):
        module = built(StochasticRoundSte()).train(mode)
        for dtype in dtypes:
            x = torch.tensor([-1.5, 0.2, 3.0], dtype=dtype)
            assert gradient(module, x).tolist() == [1.0] * 3


def test_evaluation_rounds_to_the_nearest(built):
    module = built(StochasticRoundSte()).eval()
    assert module(torch.tensor([-1.5, 0.4, 0.5, 0.6])).tolist() == [-2.0, 0.0, 0.0, 1.0]


def test_evaluation_draws_where_asked_to(built):
    module = built(StochasticRoundSte(deterministic_inference=False)).eval()
    assert set(module(torch.full((100,), 0.5)).tolist()) == {0.0, 1.0}


# By a learned number

X = torch.tensor([-1.7, -0.5, 0.0, 0.3, 2.5, 2.5])
P = torch.tensor([-4.0, 0.3, 0.0, 4.0, -0.2, 0.2])


def sigmoid(p):
    return 1 / (1 + math.exp(-p))


def hard(p):
    return min(1.0, max(0.0, sigmoid(p) * 1.2 - 0.1))


def soft(p):
    return sigmoid(p / 0.5)


KINDS = {"hard": (LearnedRoundHardSigmoid, hard), "soft": (lambda: LearnedRoundSigmoid(0.5), soft)}


def learned(kind, built, x=X, p=P):
    module = built(LearnedRoundSte(kind(), torch.zeros_like(x)))
    with torch.no_grad():
        module.value.copy_(p)
    return module


@pytest.mark.parametrize("name", KINDS)
def test_training_adds_the_learned_part_to_the_floor(name, built):
    kind, formula = KINDS[name]
    expected = [math.floor(x) + formula(p) for x, p in zip(X.tolist(), P.tolist(), strict=True)]
    torch.testing.assert_close(learned(kind, built)(X), torch.tensor(expected))


@pytest.mark.parametrize("name", KINDS)
def test_evaluation_goes_up_where_the_learned_part_is_more_than_half_without_a_gradient_to_it(
    name, built
):
    module = learned(KINDS[name][0], built).eval()
    x = X.clone().requires_grad_()
    y = module(x)
    y.sum().backward()
    expected = [math.floor(x) + (p > 0) for x, p in zip(X.tolist(), P.tolist(), strict=True)]
    assert y.tolist() == expected
    assert module.value.grad is None
    assert x.grad.tolist() == [1.0] * len(X)


@pytest.mark.parametrize("training", [True, False])
def test_identity_adds_at_most_half_a_step_in_front_of_the_rounding(training, built):
    # -1.7 - 0.5, 0.3 + 0.5, 2.5 + 0.2
    expected = [-2.0, 1.0, 3.0]
    x, p = torch.tensor([-1.7, 0.3, 2.5]), torch.tensor([-4.0, 4.0, 0.2])
    module = learned(LearnedRoundIdentity, built, x, p).train(training)
    assert module(x).tolist() == expected


def test_gradient_to_the_learned_part_is_that_of_the_hard_sigmoid(built):
    module = learned(LearnedRoundHardSigmoid, built)
    module(X).sum().backward()
    # 1.2 s (1 - s) inside, 0 where the stretched sigmoid is cut off, as at -4 and 4
    expected = [
        1.2 * sigmoid(p) * (1 - sigmoid(p)) if 0 < sigmoid(p) * 1.2 - 0.1 < 1 else 0.0
        for p in P.tolist()
    ]
    assert expected[0] == expected[3] == 0.0
    torch.testing.assert_close(module.value.grad, torch.tensor(expected))


def test_identity_has_the_gradient_of_the_identity_to_both(built):
    module = learned(LearnedRoundIdentity, built)
    x = X.clone().requires_grad_()
    module(x).sum().backward()
    assert module.value.grad.tolist() == x.grad.tolist() == [1.0] * len(X)


@pytest.mark.parametrize(
    "kind", [LearnedRoundHardSigmoid, LearnedRoundSigmoid, LearnedRoundIdentity]
)
def test_dtype_is_kept_and_the_parameter_named_value(kind, built, dtypes):
    module = built(LearnedRoundSte(kind(), torch.zeros(6)))
    assert [name for name, _ in module.named_parameters()] == ["value"]
    for dtype in dtypes:
        for training in (True, False):
            assert module.to(dtype).train(training)(X.to(dtype)).dtype == dtype


def test_start_is_copied():
    start = torch.zeros(2)
    module = LearnedRoundSte(LearnedRoundIdentity(), start)
    start.fill_(9.0)
    assert module.value.tolist() == [0.0, 0.0]


def test_stretch_that_does_not_reach_both_ends_is_refused():
    with pytest.raises(ValueError, match="zeta is 0.9 .* at least 1 and at most 0"):
        LearnedRoundHardSigmoid(0.9, -0.1)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="learned_round_temperature is .* above 0"):
        LearnedRoundSigmoid(temperature)
