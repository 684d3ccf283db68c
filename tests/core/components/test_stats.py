"""Statistics against their formulas: of magnitudes, of both sides, of deviations."""

import math

import pytest
import torch
from torch import nn

from qat.components import (
    AbsAve,
    AbsMax,
    AbsMaxAve,
    AbsMaxL2,
    AbsMinMax,
    AbsPercentile,
    L1Norm,
    L2Norm,
    MeanLearnedSigmaStd,
    MeanSigmaStd,
    NegativeMinOrZero,
    NegativePercentileOrZero,
    PercentileInterval,
    SignedAbsMax,
)


def names(item):
    return type(item).__name__


ROWS = torch.tensor([[1.0, -4.0, 2.0], [0.5, 0.25, -0.75]])
FLAT = ROWS.reshape(-1)
SIDES = torch.tensor([[1.0, -4.0, 2.0, 0.0], [0.5, 0.25, 0.75, 3.0], [-1.0, -2.0, -0.5, -3.0]])
LINE = SIDES.reshape(-1)  # -4 -3 -2 -1 -0.5 0 0.25 0.5 0.75 1 2 3
#: Eager with Python's ops, and scripted with those of C++, which have tests of their own.
eager_and_scripted = pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)


@eager_and_scripted
@pytest.mark.parametrize(
    ("stats", "x", "expected"),
    [
        (AbsMax(), FLAT, 4.0),
        (AbsMax(1), ROWS, [4.0, 0.75]),
        (AbsAve(), FLAT, 8.5 / 6),
        (AbsAve(1), ROWS, [7 / 3, 0.5]),
        (AbsMaxAve(), ROWS, (4.0 + 0.75) / 2),
        (AbsMaxL2(), ROWS, math.sqrt((16 + 0.5625) / 2)),
        (AbsPercentile(50.0), FLAT, 0.75),  # rank floor(3 + 0.5) of 6: third smallest
        (AbsPercentile(50.0, 1), ROWS, [2.0, 0.5]),  # rank floor(1.5 + 0.5) of 3: second smallest
        (AbsPercentile(100.0), FLAT, 4.0),
        (AbsPercentile(0.001), FLAT, 0.25),  # the rank is at least 1
        (SignedAbsMax(), FLAT, 4.0),
        (SignedAbsMax(1), ROWS, [4.0, 0.75]),
        (SignedAbsMax(1), -ROWS, [-4.0, -0.75]),
        (L1Norm(), FLAT, 8.5),
        (L1Norm(1), ROWS, [7.0, 1.5]),
        (L2Norm(), FLAT, math.sqrt(21.875)),
        (L2Norm(1), ROWS, [math.sqrt(21.0), math.sqrt(0.875)]),
        # magnitudes 1, 4, 2: mean 7/3, variance 14/6; 0.5, 0.25, 0.75: mean 0.5, variance 1/16
        (MeanSigmaStd(3.0, 1), ROWS, [7 / 3 + 3 * math.sqrt(7 / 3), 0.5 + 3 * 0.25]),
        (MeanLearnedSigmaStd(2.0, (2, 1), 1), ROWS, [7 / 3 + 2 * math.sqrt(7 / 3), 1.0]),
        (MeanSigmaStd(3.0), torch.tensor([1.0, -3.0]), 2.0 + 3 * math.sqrt(2.0)),
        (MeanSigmaStd(3.0, std_dev_epsilon=4.0), torch.tensor([5.0]), 5.0 + 3 * 2.0),
        (AbsMinMax(), LINE, 7.0),
        (AbsMinMax(1), SIDES, [6.0, 3.0, 3.0]),  # of one side only: to 0
        (NegativeMinOrZero(), LINE, -4.0),
        (NegativeMinOrZero(1), SIDES, [-4.0, 0.0, -3.0]),
        (NegativePercentileOrZero(20.0), LINE, -2.0),  # ceil(2.4): the third of 12
        (NegativePercentileOrZero(50.0, 1), SIDES, [0.0, 0.0, -2.0]),  # the second of 4
        (NegativePercentileOrZero(0.0), LINE, -4.0),  # the rank is at least 1
        (PercentileInterval(20.0, 80.0), LINE, 3.0),  # -2 to floor(9.6 + 0.5), the tenth: 1
        (PercentileInterval(0.001, 99.999, 1), SIDES, [6.0, 3.0, 3.0]),
        (PercentileInterval(50.0, 75.0, 1), SIDES, [1.0, 0.75, 2.0]),  # second and third of 4
    ],
    ids=names,
)
def test_statistic_is_that_of_the_formula(stats, x, expected, built, dtypes):
    module = built(stats)
    for dtype in dtypes:
        result = module(x.to(dtype))
        assert result.dtype == dtype
        torch.testing.assert_close(result, torch.tensor(expected, dtype=dtype))


HIGH = "high_percentile_q is .* above 0 and at most 100"
LOW = "low_percentile_q is .* at least 0 and below 100"
ORDER = "the first must be above the second and at most 100"


@pytest.mark.parametrize(
    ("kind", "percentiles", "match"),
    [
        *((AbsPercentile, (q,), HIGH) for q in (0.0, -1.0, 100.1)),
        *((NegativePercentileOrZero, (q,), LOW) for q in (-0.1, 100.0, math.nan)),
        *((PercentileInterval, both, ORDER) for both in ((5.0, 5.0), (60.0, 40.0), (1.0, 100.5))),
    ],
)
def test_percentile_outside_its_range_is_refused(kind, percentiles, match):
    with pytest.raises(ValueError, match=match):
        kind(*percentiles)


@pytest.mark.parametrize("stats", [AbsMax(), AbsAve(), SignedAbsMax(), L1Norm(), L2Norm()])
def test_statistic_of_zeros_is_zero(stats):
    assert stats(torch.zeros(5)).item() == 0.0


def test_norms_have_a_finite_gradient_at_zero(built, gradient):
    assert gradient(built(L2Norm()), torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_learned_sigma_gets_the_deviation_as_its_gradient(built):
    stats = built(MeanLearnedSigmaStd(3.0, (), std_dev_epsilon=0.0))
    stats(torch.tensor([1.0, -5.0])).backward()
    assert stats.value.grad.item() == pytest.approx(math.sqrt(8.0))


def test_deviation_is_differentiable_where_all_is_equal(built, gradient):
    grad = gradient(built(MeanSigmaStd(3.0)), torch.full((4,), 2.0))
    assert torch.allclose(grad, torch.full((4,), 0.25))


@pytest.mark.parametrize("stats", [AbsMax(), SignedAbsMax()], ids=names)
def test_largest_magnitude_gets_the_gradient_with_its_sign(stats, built, gradient):
    assert gradient(built(stats), torch.tensor([1.0, -3.0, 2.0])).tolist() == [0, -1, 0]


# Statistics that are one element of the tensor, or of each side

ONE = [AbsMax(), AbsMax(1), AbsPercentile(90.0), AbsPercentile(90.0, 1)]
LOWEST = [NegativeMinOrZero(), NegativeMinOrZero(1)]
LOWEST += [NegativePercentileOrZero(0.5), NegativePercentileOrZero(0.5, 1)]
WIDTHS = [
    AbsMinMax(),
    AbsMinMax(1),
    PercentileInterval(1.0, 99.0),
    PercentileInterval(1.0, 99.0, 1),
]
every = pytest.mark.parametrize("stats", [*ONE, *LOWEST, *WIDTHS], ids=names)


def viewed(stats, x):
    return x if stats.stats_reduce_dim == 1 else x.reshape(-1)


@every
def test_value_is_the_same_with_and_without_a_gradient(stats, built, dtypes):
    stats = built(stats)
    for dtype in dtypes:
        x = viewed(stats, torch.randn(3, 500).to(dtype))
        for _ in range(3):  # TorchScript profiles, then optimizes
            plain, differentiable = stats(x), stats(x.clone().requires_grad_())
            assert differentiable.requires_grad and not plain.requires_grad
            assert torch.equal(plain, differentiable)


@pytest.mark.parametrize("stats", ONE, ids=names)
def test_gradient_goes_to_the_element_that_was_taken(stats, built):
    stats = built(stats)
    x = torch.randn(2, 50)
    for _ in range(3):
        leaf = x.clone().requires_grad_()
        taken = stats(2.0 * viewed(stats, leaf))
        taken.sum().backward()
        wanted = torch.isin(2.0 * leaf.detach().abs(), taken.detach())
        assert torch.equal(leaf.grad, torch.where(wanted, 2.0 * torch.sign(x), 0.0))


@eager_and_scripted
@pytest.mark.parametrize(
    ("stats", "sides"),
    [*((stats, 1) for stats in LOWEST), *((stats, 2) for stats in WIDTHS)],
    ids=names,
)
def test_gradient_goes_to_the_elements_that_were_taken_on_each_side(stats, sides, built):
    stats = built(stats)
    leaf = torch.randn(2, 300, dtype=torch.float64).requires_grad_()
    stats(viewed(stats, leaf)).sum().backward()
    shape = (2, 300) if stats.stats_reduce_dim == 1 else (1, 600)
    rows, grad = leaf.detach().reshape(shape), leaf.grad.reshape(shape)
    assert bool((grad.count_nonzero(dim=1) == sides).all())
    # the width grows with the highest and shrinks with the lowest; the lowest moves with itself
    assert bool((grad[rows < 0] <= 0).all()) if sides == 2 else bool((grad >= 0).all())


@eager_and_scripted
@every
def test_statistic_with_nan_is_nan_where_nan_is_among_the_largest(stats, built):
    x = torch.ones(2, 50)
    x[:, :10] = torch.nan
    assert built(stats)(viewed(stats, x)).isnan().all()


class All(nn.Module):
    """Every statistic, of its view of one tensor."""

    def __init__(self, parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x):
        return [stats(viewed(stats, x)) for stats in self.parts]


@pytest.mark.parametrize(
    ("parts", "counts"),
    [
        ([*ONE, *LOWEST, *WIDTHS], (200,)),
        # the two ways to the k-th largest, whose ranks follow from the size
        ([AbsPercentile(90.0, 1)], (200, 300)),
        pytest.param([NegativePercentileOrZero(0.5, 1)], (200, 300), marks=pytest.mark.slow),
    ],
    ids=["all", "of magnitudes", "of a side"],
)
def test_statistics_compile_as_one_graph(parts, counts):
    torch._dynamo.reset()
    eager = All(parts)
    compiled = torch.compile(eager, fullgraph=True, backend="aot_eager")
    for count in counts:
        x = torch.randn(2, count)
        for found, expected in zip(compiled(x), eager(x), strict=True):
            assert torch.equal(found, expected)
    torch._dynamo.reset()
