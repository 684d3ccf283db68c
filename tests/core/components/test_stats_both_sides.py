"""Statistics of both sides of a tensor against their formulas."""

import math

import pytest
import torch

from qat.components import (
    AbsMinMax,
    NegativeMinOrZero,
    NegativePercentileOrZero,
    PercentileInterval,
)

ROWS = torch.tensor([[1.0, -4.0, 2.0, 0.0], [0.5, 0.25, 0.75, 3.0], [-1.0, -2.0, -0.5, -3.0]])
FLAT = ROWS.reshape(-1)  # -4 -3 -2 -1 -0.5 0 0.25 0.5 0.75 1 2 3


@pytest.mark.parametrize(
    ("stats", "x", "expected"),
    [
        (AbsMinMax(), FLAT, 7.0),
        (AbsMinMax(1), ROWS, [6.0, 3.0, 3.0]),  # of one side only: to 0
        (NegativeMinOrZero(), FLAT, -4.0),
        (NegativeMinOrZero(1), ROWS, [-4.0, 0.0, -3.0]),
        (NegativePercentileOrZero(20.0), FLAT, -2.0),  # ceil(2.4): the third of 12
        (NegativePercentileOrZero(50.0, 1), ROWS, [0.0, 0.0, -2.0]),  # the second of 4
        (NegativePercentileOrZero(0.0), FLAT, -4.0),  # the rank is at least 1
        (PercentileInterval(20.0, 80.0), FLAT, 3.0),  # -2 to floor(9.6 + 0.5), the tenth: 1
        (PercentileInterval(0.001, 99.999, 1), ROWS, [6.0, 3.0, 3.0]),
        (PercentileInterval(50.0, 75.0, 1), ROWS, [1.0, 0.75, 2.0]),  # second and third of 4
    ],
    ids=lambda item: type(item).__name__,
)
def test_statistic_is_that_of_the_formula(stats, x, expected, built, dtype):
    result = built(stats)(x.to(dtype))
    assert result.dtype == dtype
    torch.testing.assert_close(result, torch.tensor(expected, dtype=dtype))


EACH = [
    AbsMinMax(),
    AbsMinMax(1),
    NegativeMinOrZero(),
    NegativeMinOrZero(1),
    NegativePercentileOrZero(0.5),
    NegativePercentileOrZero(0.5, 1),
    PercentileInterval(1.0, 99.0),
    PercentileInterval(1.0, 99.0, 1),
]
each = pytest.mark.parametrize("stats", EACH, ids=lambda stats: type(stats).__name__)


def viewed(stats, x):
    return x if stats.stats_reduce_dim == 1 else x.reshape(-1)


@each
def test_value_is_the_same_with_and_without_a_gradient(stats, built, dtype):
    stats = built(stats)
    x = viewed(stats, torch.randn(3, 700).to(dtype))
    for _ in range(3):
        plain, differentiable = stats(x), stats(x.clone().requires_grad_())
        assert differentiable.requires_grad and not plain.requires_grad
        assert torch.equal(plain, differentiable)


@each
def test_gradient_goes_to_the_elements_that_were_taken(stats, built):
    stats = built(stats)
    leaf = torch.randn(2, 300, dtype=torch.float64).requires_grad_()
    stats(viewed(stats, leaf)).sum().backward()
    rows = leaf.detach() if stats.stats_reduce_dim == 1 else leaf.detach().reshape(1, -1)
    grad = leaf.grad.reshape(rows.shape)
    is_interval = isinstance(stats, AbsMinMax | PercentileInterval) or "Interval" in str(stats)
    sides = 2 if is_interval or "AbsMinMax" in str(stats) else 1
    assert bool((grad.count_nonzero(dim=1) == sides).all())
    # the width grows with the highest and shrinks with the lowest; the lowest moves with itself
    assert bool((grad[rows < 0] <= 0).all()) if sides == 2 else bool((grad >= 0).all())


@each
def test_statistic_with_nan_is_nan(stats, built):
    x = torch.ones(2, 300)
    x[:, :20] = torch.nan
    assert built(stats)(viewed(stats, x)).isnan().all()


@each
def test_statistic_compiles_as_one_graph(stats):
    torch._dynamo.reset()
    compiled = torch.compile(stats, fullgraph=True, backend="aot_eager")
    for count in (200, 300):
        x = viewed(stats, torch.randn(2, count))
        assert torch.equal(compiled(x), stats(x))
    torch._dynamo.reset()


@pytest.mark.parametrize("q", [-0.1, 100.0, math.nan])
def test_low_percentile_outside_its_range_is_refused(q):
    with pytest.raises(ValueError, match="low_percentile_q is .* at least 0 and below 100"):
        NegativePercentileOrZero(q)


@pytest.mark.parametrize(("low", "high"), [(5.0, 5.0), (60.0, 40.0), (1.0, 100.5)])
def test_interval_of_percentiles_in_the_wrong_order_is_refused(low, high):
    with pytest.raises(ValueError, match="the first must be above the second and at most 100"):
        PercentileInterval(low, high)
