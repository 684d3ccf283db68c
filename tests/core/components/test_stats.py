"""Statistics against their formulas."""

import math

import pytest
import torch

from qat.components import (
    AbsAve,
    AbsMax,
    AbsMaxAve,
    AbsMaxL2,
    AbsPercentile,
    L1Norm,
    L2Norm,
    MeanLearnedSigmaStd,
    MeanSigmaStd,
    OverBatchOverTensorView,
    OverOutputChannelView,
    OverTensorView,
    SignedAbsMax,
)

ROWS = torch.tensor([[1.0, -4.0, 2.0], [0.5, 0.25, -0.75]])


@pytest.mark.parametrize(
    ("stats", "x", "expected"),
    [
        (AbsMax(), ROWS.reshape(-1), 4.0),
        (AbsMax(1), ROWS, [4.0, 0.75]),
        (AbsAve(), ROWS.reshape(-1), 8.5 / 6),
        (AbsAve(1), ROWS, [7 / 3, 0.5]),
        (AbsMaxAve(), ROWS, (4.0 + 0.75) / 2),
        (AbsMaxL2(), ROWS, math.sqrt((16 + 0.5625) / 2)),
        (AbsPercentile(50.0), ROWS.reshape(-1), 0.75),  # rank floor(3 + 0.5) of 6: third smallest
        (AbsPercentile(50.0, 1), ROWS, [2.0, 0.5]),  # rank floor(1.5 + 0.5) of 3: second smallest
        (AbsPercentile(100.0), ROWS.reshape(-1), 4.0),
        (AbsPercentile(0.001), ROWS.reshape(-1), 0.25),  # the rank is at least 1
        (SignedAbsMax(), ROWS.reshape(-1), 4.0),
        (SignedAbsMax(1), ROWS, [4.0, 0.75]),
        (SignedAbsMax(1), -ROWS, [-4.0, -0.75]),
        (L1Norm(), ROWS.reshape(-1), 8.5),
        (L1Norm(1), ROWS, [7.0, 1.5]),
        (L2Norm(), ROWS.reshape(-1), math.sqrt(21.875)),
        (L2Norm(1), ROWS, [math.sqrt(21.0), math.sqrt(0.875)]),
        # magnitudes 1, 4, 2: mean 7/3, variance 14/6; 0.5, 0.25, 0.75: mean 0.5, variance 1/16
        (MeanSigmaStd(3.0, 1), ROWS, [7 / 3 + 3 * math.sqrt(7 / 3), 0.5 + 3 * 0.25]),
        (MeanLearnedSigmaStd(2.0, (2, 1), 1), ROWS, [7 / 3 + 2 * math.sqrt(7 / 3), 1.0]),
        (MeanSigmaStd(3.0), torch.tensor([1.0, -3.0]), 2.0 + 3 * math.sqrt(2.0)),
        (MeanSigmaStd(3.0, std_dev_epsilon=4.0), torch.tensor([5.0]), 5.0 + 3 * 2.0),
    ],
    ids=lambda item: type(item).__name__,
)
def test_statistic_is_that_of_the_formula(stats, x, expected, built, dtype):
    result = built(stats)(x.to(dtype))
    assert result.dtype == dtype
    torch.testing.assert_close(result, torch.tensor(expected, dtype=dtype))


@pytest.mark.parametrize("q", [0.0, -1.0, 100.1])
def test_percentile_outside_its_range_is_refused(q):
    with pytest.raises(ValueError, match="high_percentile_q is .* above 0 and at most 100"):
        AbsPercentile(q)


@pytest.mark.parametrize("stats", [AbsMax(), AbsAve(), SignedAbsMax(), L1Norm(), L2Norm()])
def test_statistic_of_zeros_is_zero(stats, built):
    assert built(stats)(torch.zeros(5)).item() == 0.0


def test_norms_have_a_finite_gradient_at_zero(built, gradient):
    assert gradient(built(L2Norm()), torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_learned_sigma_gets_the_deviation_as_its_gradient(built):
    stats = built(MeanLearnedSigmaStd(3.0, (), std_dev_epsilon=0.0))
    stats(torch.tensor([1.0, -5.0])).backward()
    assert stats.value.grad.item() == pytest.approx(math.sqrt(8.0))


def test_deviation_is_differentiable_where_all_is_equal(built, gradient):
    grad = gradient(built(MeanSigmaStd(3.0)), torch.full((4,), 2.0))
    assert torch.allclose(grad, torch.full((4,), 0.25))


def test_sign_of_the_largest_magnitude_gets_its_gradient(built, gradient):
    assert gradient(built(SignedAbsMax()), torch.tensor([1.0, -3.0, 2.0])).tolist() == [0, -1, 0]


def test_maximum_hands_its_gradient_to_the_largest(built, gradient):
    grad = gradient(built(AbsMax()), torch.tensor([1.0, -3.0, 2.0]))
    assert grad.tolist() == [0.0, -1.0, 0.0]


TAKEN_FROM_ONE = [AbsMax(), AbsMax(1), AbsPercentile(90.0), AbsPercentile(90.0, 1)]


@pytest.mark.parametrize("stats", TAKEN_FROM_ONE, ids=lambda stats: type(stats).__name__)
def test_value_is_the_same_with_and_without_a_gradient(stats, built, dtype):
    stats = built(stats)
    x = torch.randn(3, 500).to(dtype)
    x = x if stats.stats_reduce_dim == 1 else x.reshape(-1)
    for _ in range(4):  # TorchScript profiles, then optimizes
        plain, differentiable = stats(x), stats(x.clone().requires_grad_())
        assert differentiable.requires_grad and not plain.requires_grad
        assert torch.equal(plain, differentiable)


@pytest.mark.parametrize("stats", TAKEN_FROM_ONE, ids=lambda stats: type(stats).__name__)
def test_gradient_goes_to_the_element_that_was_taken(stats, built):
    stats = built(stats)
    x = torch.randn(2, 50)
    for _ in range(4):
        leaf = x.clone().requires_grad_()
        view = 2.0 * leaf if stats.stats_reduce_dim == 1 else 2.0 * leaf.reshape(-1)
        taken = stats(view)
        taken.sum().backward()
        wanted = torch.isin(2.0 * leaf.detach().abs(), taken.detach())
        assert torch.equal(leaf.grad, torch.where(wanted, 2.0 * torch.sign(x), 0.0))


@pytest.mark.parametrize("stats", TAKEN_FROM_ONE, ids=lambda stats: type(stats).__name__)
def test_statistic_with_nan_is_nan_where_nan_is_among_the_largest(stats, built):
    x = torch.ones(2, 50)
    x[:, :10] = torch.nan
    assert built(stats)(x if stats.stats_reduce_dim == 1 else x.reshape(-1)).isnan().all()


@pytest.mark.parametrize("stats", TAKEN_FROM_ONE, ids=lambda stats: type(stats).__name__)
def test_statistic_compiles_as_one_graph(stats):
    torch._dynamo.reset()
    compiled = torch.compile(stats, fullgraph=True, backend="aot_eager")
    for count in (200, 300, 400):
        x = torch.randn(2, count)
        x = x if stats.stats_reduce_dim == 1 else x.reshape(-1)
        assert torch.equal(compiled(x), stats(x))
    torch._dynamo.reset()


def test_views_are_flat_per_sample_and_per_channel(built):
    x = torch.arange(24.0).reshape(2, 3, 4).transpose(0, 1)  # [3, 2, 4], strided
    assert built(OverTensorView())(x).shape == (24,)
    assert built(OverBatchOverTensorView())(x).shape == (3, 8)
    assert torch.equal(built(OverOutputChannelView())(x), x.reshape(3, 8))
    permuted = built(OverOutputChannelView((1, 0, 2)))(x)
    assert torch.equal(permuted, x.permute(1, 0, 2).reshape(2, 12))


@pytest.mark.parametrize(
    ("shape", "memory_format"),
    [
        ((2, 3, 4, 5), torch.contiguous_format),
        ((2, 3, 4, 5), torch.channels_last),
        ((2, 3, 2, 2, 2), torch.channels_last_3d),
    ],
)
def test_the_view_over_the_tensor_holds_every_element_and_copies_none(shape, memory_format, built):
    x = torch.randn(shape).contiguous(memory_format=memory_format)
    view = built(OverTensorView())(x)
    assert view.data_ptr() == x.data_ptr()
    assert torch.equal(view.sort()[0], x.reshape(-1).sort()[0])
