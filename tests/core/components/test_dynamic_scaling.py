"""Scales of the tensor at hand, and learned multiples of others."""

import copy
import pickle

import pytest
import torch

from qat.components import (
    AbsMax,
    AffineStatsScaling,
    OverRowView,
    PowerOfTwoRestrictValue,
    RuntimeDynamicRowStatsScaling,
    RuntimeDynamicStatsScaling,
    RuntimeStatsScaling,
    StatsFromParameterScaling,
)

X = torch.tensor([[1.0, -3.0, 0.0], [0.5, 0.25, -0.75]])


def per_row(**kwargs):
    return RuntimeDynamicRowStatsScaling(AbsMax(1), OverRowView(), **kwargs)


@pytest.mark.parametrize("training", [True, False])
def test_dynamic_scale_is_that_of_the_tensor_at_hand_in_either_mode(training, built, dtypes):
    scaling = built(RuntimeDynamicStatsScaling(AbsMax())).train(training)
    for dtype in dtypes:
        for factor in (1.0, 4.0, 0.5):
            scale = scaling(factor * X.to(dtype))
            assert (scale.item(), scale.shape, scale.dtype) == (3 * factor, (), dtype)
    assert list(scaling.state_dict()) == []


def test_dynamic_scale_per_row_has_one_entry_per_row(built):
    scaling = built(per_row())
    assert scaling(X).tolist() == [[3.0], [0.75]]
    assert scaling(X.reshape(1, 2, 1, 3)).shape == (1, 2, 1, 1)
    assert scaling(X[0]).tolist() == [3.0]
    assert scaling(X.t()).tolist() == [[1.0], [3.0], [0.75]]


def test_dimension_of_a_dynamic_scale_may_follow_from_the_tensor(built):
    scaling = built(RuntimeDynamicStatsScaling(AbsMax(1), OverRowView(), (-1, 1)))
    assert scaling(X).tolist() == [[3.0], [0.75]]
    assert scaling(X[:1]).tolist() == [[3.0]]


def test_gradient_flows_through_the_statistic(built, gradient):
    grad = gradient(built(RuntimeDynamicStatsScaling(AbsMax())), X)
    assert grad.tolist() == [[0.0, -1.0, 0.0], [0.0, 0.0, 0.0]]
    rows = X.clone().requires_grad_()
    built(per_row())(rows).sum().backward()
    assert rows.grad.tolist() == [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0]]


def test_dynamic_scale_of_an_empty_tensor_is_one(built):
    of_all, of_rows = built(RuntimeDynamicStatsScaling(AbsMax())), built(per_row())
    for shape in ((0,), (0, 3), (2, 0)):
        whole, rows = of_all(torch.empty(shape)), of_rows(torch.empty(shape))
        assert (whole.item(), rows.shape) == (1.0, (*shape[:-1], 1))
        assert bool((rows == 1.0).all())


def test_dynamic_scale_is_restricted_and_bounded(built):
    power = built(RuntimeDynamicStatsScaling(AbsMax(), None, (), PowerOfTwoRestrictValue()))
    assert power(X).item() == 4.0  # log2(3) = 1.58
    assert built(per_row(scaling_min_val=0.5))(torch.zeros(1, 3)).item() == 0.5


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_copy_of_a_dynamic_scale_computes_the_same(copied):
    assert copied(per_row())(X).tolist() == [[3.0], [0.75]]


def affine(shift=False, **kwargs):
    return AffineStatsScaling(StatsFromParameterScaling(AbsMax(), **kwargs), (), shift, **kwargs)


@pytest.mark.parametrize("shift", [False, True])
def test_learned_multiple_starts_at_one(shift, built):
    scaling = built(affine(shift))
    names = ["affine_weight", "affine_bias"] if shift else ["affine_weight"]
    assert scaling(X).item() == 3.0
    assert [name for name, _ in scaling.named_parameters()] == names


def test_learned_multiple_and_shift_follow_their_formula_with_its_gradient(built):
    scaling = built(affine(True))
    with torch.no_grad():
        scaling.affine_weight.fill_(2.0)
        scaling.affine_bias.fill_(-0.5)
    x = X.clone().requires_grad_()
    scale = scaling(x)
    scale.backward()
    assert scale.item() == 5.5  # 2 * 3 - 0.5
    assert (scaling.affine_weight.grad.item(), scaling.affine_bias.grad.item()) == (3.0, 1.0)
    assert x.grad[0, 1].item() == -2.0


def test_learned_multiple_is_positive_and_bounded(built):
    scaling = built(affine(scaling_min_val=1e-3))
    with torch.no_grad():
        scaling.affine_weight.fill_(-2.0)
    assert scaling(X).item() == 6.0
    with torch.no_grad():
        scaling.affine_weight.fill_(0.0)
    assert scaling(X).item() == pytest.approx(1e-3)


def test_learned_multiple_of_a_power_of_two_moves_its_exponent(built):
    scaling = built(affine(restrict_scaling_impl=PowerOfTwoRestrictValue()))
    with torch.no_grad():
        scaling.affine_weight.fill_(2.0)
    assert scaling(4 * torch.ones(2)).item() == 16.0  # 2 ** (2 * log2(4))


def test_learned_multiple_of_a_running_average_is_that_in_evaluation(built):
    running = RuntimeStatsScaling(AbsMax(), scaling_stats_momentum=None)
    scaling = built(AffineStatsScaling(running))
    assert [scaling(factor * torch.ones(2)).item() for factor in (1.0, 2.0, 6.0)] == [1, 2, 6]
    assert scaling.eval()(torch.ones(2)).item() == 3.0  # their true average
