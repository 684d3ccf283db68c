"""Rounding by a learned number for each weight, against the formulas of its docstrings."""

import math

import pytest
import torch

from qat.components import (
    LearnedRoundHardSigmoid,
    LearnedRoundIdentity,
    LearnedRoundSigmoid,
    LearnedRoundSte,
)

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
def test_evaluation_goes_up_where_the_learned_part_is_more_than_half(name, built):
    kind, _ = KINDS[name]
    expected = [math.floor(x) + (p > 0) for x, p in zip(X.tolist(), P.tolist(), strict=True)]
    assert learned(kind, built).eval()(X).tolist() == expected


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


@pytest.mark.parametrize("kind", [LearnedRoundHardSigmoid, LearnedRoundSigmoid])
def test_evaluation_has_no_gradient_to_the_learned_part(kind, built):
    module = learned(kind, built).eval()
    x = X.clone().requires_grad_()
    module(x).sum().backward()
    assert module.value.grad is None
    assert x.grad.tolist() == [1.0] * len(X)


def test_identity_has_the_gradient_of_the_identity_to_both(built):
    module = learned(LearnedRoundIdentity, built)
    x = X.clone().requires_grad_()
    module(x).sum().backward()
    assert module.value.grad.tolist() == x.grad.tolist() == [1.0] * len(X)


@pytest.mark.parametrize(
    "kind", [LearnedRoundHardSigmoid, LearnedRoundSigmoid, LearnedRoundIdentity]
)
def test_dtype_is_kept_and_the_parameter_named_value(kind, built, dtype):
    module = built(LearnedRoundSte(kind(), torch.zeros(6))).to(dtype)
    assert [name for name, _ in module.named_parameters()] == ["value"]
    for training in (True, False):
        assert module.train(training)(X.to(dtype)).dtype == dtype


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
