"""Signs of a training that has diverged."""

import math

import pytest
import torch
from torch import nn

from qat_cli.engine.evaluation.diagnosis import check_growth, check_weights
from qat_cli.errors import WorkFailed


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_is_named(value):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    check_weights(model, 0, 1)
    with torch.no_grad():
        model[1].weight[1, 0] = value
    with pytest.raises(WorkFailed, match=r"'1\.weight' holds .* after epoch 3, batch 5.*lr"):
        check_weights(model, 2, 5)


def test_large_weights_are_finite():
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.fill_(3e38)  # their squares are not
    check_weights(model, 0, 1)
    check_weights(nn.Identity(), 0, 1)


@pytest.mark.parametrize(
    ("losses", "loss", "factor", "diverged"),
    [
        ([], 1e9, 10.0, False),  # nothing to compare with
        ([2.0], 22.0, 10.0, False),  # guessing among 10 has 2.303
        ([2.0], 23.1, 10.0, True),
        ([0.01], 5.0, 10.0, False),
        ([8.0, 3.0], 79.0, 10.0, False),
        ([8.0, 3.0], 81.0, 10.0, True),
        ([2.0], 1e9, None, False),
    ],
)
def test_a_loss_may_not_grow_far_beyond_guessing_and_the_first_epoch(
    losses, loss, factor, diverged
):
    if not diverged:
        check_growth(losses, loss, 10, factor)
        return
    with pytest.raises(WorkFailed, match=r"training diverged.*divergence_factor=null"):
        check_growth(losses, loss, 10, factor)
