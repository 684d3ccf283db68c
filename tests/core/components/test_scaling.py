"""Scales that are fixed, learned, or taken from a parameter."""

import copy
import pickle

import pytest
import torch
from torch import nn

from qat.components import (
    AbsAve,
    AbsMax,
    CeilSte,
    ConstScaling,
    OverOutputChannelView,
    ParameterFromStatsFromParameterScaling,
    ParameterScaling,
    PowerOfTwoRestrictValue,
    StatsFromParameterScaling,
)
from qat.components.scaling import SharedStatsFromParameterScaling

X = torch.tensor([[1.0, -3.0], [0.5, 0.25]])


def test_constant_scale_is_what_was_given_and_not_in_the_state_dict(built, dtype):
    scaling = built(ConstScaling(0.5)).to(dtype)
    scale = scaling(X.to(dtype))
    assert (scale.item(), scale.shape, scale.dtype) == (0.5, (), dtype)
    assert list(scaling.state_dict()) == []
    assert list(scaling.parameters()) == []


def test_constant_scale_takes_a_shape(built):
    scaling = built(ConstScaling(torch.tensor([0.5, 2.0]), scaling_shape=(2, 1)))
    assert scaling(X).tolist() == [[0.5], [2.0]]


@pytest.mark.parametrize("init", [0.0, -1.0, float("nan"), [1.0, 0.0]])
def test_constant_scale_that_is_not_positive_is_refused(init):
    with pytest.raises(ValueError, match="a constant scale must be positive"):
        ConstScaling(torch.tensor(init))


@pytest.mark.parametrize("kind", [ConstScaling, ParameterScaling])
def test_initial_scale_that_does_not_fit_its_shape_is_refused(kind):
    with pytest.raises(ValueError, match=r"shape \(3,\) but scaling_shape is \(2,\)"):
        kind(torch.ones(3), scaling_shape=(2,))


def test_learned_scale_of_a_number_has_no_dimension(built):
    scaling = built(ParameterScaling(0.5))
    assert scaling.value.shape == ()
    assert scaling(X).item() == 0.5
    assert list(scaling.state_dict()) == ["value"]


def test_learned_scale_copies_its_initial_tensor():
    init = torch.tensor([1.0, 2.0])
    scaling = ParameterScaling(init)
    init.fill_(9.0)
    assert scaling(X).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("stored", "sign"), [(2.0, 1.0), (-2.0, -1.0), (0.0, 1.0), (-0.0, 1.0)])
def test_learned_scale_is_the_absolute_value_with_a_gradient_that_is_never_zero(
    stored, sign, built
):
    scaling = built(ParameterScaling(1.0))
    with torch.no_grad():
        scaling.value.fill_(stored)
    scale = scaling(X)
    scale.backward()
    assert (scale.item(), scaling.value.grad.item()) == (abs(stored), sign)


def test_lower_bound_holds_with_the_gradient_going_through(built):
    scaling = built(ParameterScaling(0.01, scaling_min_val=0.1))
    scale = scaling(X)
    scale.backward()
    assert scale.item() == pytest.approx(0.1)
    assert scaling.value.grad.item() == 1.0


def test_power_of_two_scale_stays_a_power_of_two_while_it_is_learned(built):
    scaling = built(ParameterScaling(0.3, restrict_scaling_impl=PowerOfTwoRestrictValue()))
    seen = []
    for step in range(4):
        with torch.no_grad():
            scaling.value.add_(0.4 * step)
        seen.append(scaling(X).item())
    # log2(.3) = -1.74, then -1.34, -0.54, 0.66
    assert seen == [0.25, 0.5, 0.5, 2.0]


def test_scale_from_the_parameter_follows_it_with_its_gradient(built, gradient, dtype):
    scaling = built(StatsFromParameterScaling(AbsMax()))
    assert scaling(X.to(dtype)).item() == 3.0
    assert scaling(2 * X.to(dtype)).item() == 6.0
    assert gradient(scaling, X).tolist() == [[0.0, -1.0], [0.0, 0.0]]


def test_scale_per_channel_has_one_entry_per_channel(built):
    scaling = built(StatsFromParameterScaling(AbsMax(1), OverOutputChannelView(), (2, 1)))
    assert scaling(X).tolist() == [[3.0], [0.5]]


def test_scale_from_the_parameter_can_be_restricted_to_powers_of_two(built):
    restrict = PowerOfTwoRestrictValue(CeilSte())
    scaling = built(StatsFromParameterScaling(AbsMax(), restrict_scaling_impl=restrict))
    assert scaling(X).item() == 4.0


def test_scale_of_a_zero_parameter_is_the_lower_bound(built):
    scaling = built(StatsFromParameterScaling(AbsMax(), scaling_min_val=1e-10))
    assert scaling(torch.zeros(3)).item() == pytest.approx(1e-10)


def test_learned_scale_starts_at_the_statistic_and_stays_there(built):
    weight = nn.Parameter(X.clone())
    scaling = built(ParameterFromStatsFromParameterScaling(AbsMax(), [weight]))
    with torch.no_grad():
        weight.mul_(5)
    assert scaling(weight).item() == 3.0
    assert [name for name, _ in scaling.named_parameters()] == ["value"]


def test_learned_scale_starts_at_the_statistic_of_all_parameters_together(built):
    weights = [X, torch.tensor([[0.0, 9.0], [1.0, 1.0]])]
    scaling = built(
        ParameterFromStatsFromParameterScaling(
            AbsMax(1), weights, OverOutputChannelView(), scaling_shape=(2, 1)
        )
    )
    assert scaling(X).tolist() == [[9.0], [1.0]]


def test_learned_scale_of_zeros_starts_at_the_lower_bound(built):
    scaling = built(
        ParameterFromStatsFromParameterScaling(AbsMax(), [torch.zeros(3)], scaling_min_val=1e-10)
    )
    assert scaling(X).item() == pytest.approx(1e-10)


class Two(nn.Module):
    """Two layers that share a scale."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
        with torch.no_grad():
            self.a.weight.fill_(1.0)
            self.b.weight.fill_(3.0)
        tracked = [self.a.weight, self.b.weight]
        self.scaling = SharedStatsFromParameterScaling(tracked, AbsAve())


def test_shared_scale_is_that_of_all_parameters_whichever_is_quantized():
    model = Two()
    assert model.scaling(model.a.weight).item() == model.scaling(model.b.weight).item() == 2.0
    assert [name for name in model.state_dict() if "scaling" in name] == []


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_shared_scale_of_a_copy_follows_the_copied_parameters(copied):
    model = Two()
    other = copied(model)
    with torch.no_grad():
        other.a.weight.fill_(9.0)
    assert other.scaling(other.b.weight).item() == 6.0
    assert model.scaling(model.b.weight).item() == 2.0
