"""Scales that are fixed, learned, signed, or taken from a parameter."""

import copy
import pickle

import pytest
import torch
from torch import nn

from qat.components import (
    AbsAve,
    AbsMax,
    BitWidthConst,
    CeilSte,
    ConstScaling,
    IntQuant,
    IntScaling,
    OverOutputChannelView,
    ParameterFromStatsFromParameterScaling,
    ParameterScaling,
    PowerOfTwoRestrictValue,
    RescalingIntQuant,
    SignedFloatRestrictValue,
    StatsFromParameterScaling,
    ZeroZeroPoint,
)
from qat.components.scaling import SharedStatsFromParameterScaling
from qat.components.stats import SignedAbsMax
from qat.ops import keep_from_zero, nonzero_scale, signed_scale_from_threshold

X = torch.tensor([[1.0, -3.0], [0.5, 0.25]])


def test_constant_scale_is_what_was_given_and_not_in_the_state_dict(built, dtypes):
    scaling = built(ConstScaling(0.5))
    for dtype in dtypes:
        scale = scaling.to(dtype)(X.to(dtype))
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


def test_learned_scale_is_the_absolute_value_with_a_gradient_that_is_never_zero(built):
    scaling = built(ParameterScaling(1.0))
    for stored, sign in ((2.0, 1.0), (-2.0, -1.0), (0.0, 1.0), (-0.0, 1.0)):
        scaling.value.grad = None
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


def test_scale_from_the_parameter_follows_it_with_its_gradient(built, gradient, dtypes):
    scaling = built(StatsFromParameterScaling(AbsMax()))
    for dtype in dtypes:
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


# Scales with a sign: the magnitude is bounded below, the sign stays


def signed_scalings(x, smallest=None):
    """Scalings of a tensor whose largest element in magnitude is ``-x``."""
    signed = SignedFloatRestrictValue()
    tracked = nn.Parameter(torch.tensor([-x, 0.1 * x]))
    return [
        ConstScaling(x, None, signed, smallest),
        ParameterScaling(x, None, signed, smallest),
        StatsFromParameterScaling(SignedAbsMax(), None, (), signed, smallest),
        ParameterFromStatsFromParameterScaling(
            SignedAbsMax(), [tracked], None, (), signed, smallest
        ),
    ], tracked


@pytest.mark.parametrize("which", range(4))
def test_scale_keeps_its_sign_and_its_magnitude_is_bounded_below(which, built):
    for x, smallest, expected in ((-3.0, None, -3.0), (-0.25, 0.5, -0.5), (3.0, 0.5, 3.0)):
        modules, tracked = signed_scalings(x, smallest)
        assert built(modules[which])(tracked).item() == expected


def test_gradient_of_a_learned_scale_goes_through_sign_and_bound(built):
    scaling = built(ParameterScaling(-0.25, None, SignedFloatRestrictValue(), 0.5))
    scaling(X).backward()
    assert scaling.value.grad.item() == 1.0


def test_constant_scale_of_zero_is_refused():
    with pytest.raises(ValueError, match="scaling_init is 0.0; a constant scale must not be 0"):
        ConstScaling(0.0, None, SignedFloatRestrictValue())


def signed_quant(bits=3):
    return RescalingIntQuant(
        IntQuant(False, True),
        StatsFromParameterScaling(SignedAbsMax(), None, (), SignedFloatRestrictValue()),
        IntScaling(True, False),
        ZeroZeroPoint(),
        BitWidthConst(bits),
    )


def test_largest_element_gets_the_far_end_of_the_grid_whatever_its_sign(backend):
    quant = signed_quant()
    for sign in (1.0, -1.0):
        # the far end is -4: 3.2 is -4 * -0.8, and -3.2 is -4 * 0.8
        x = sign * torch.tensor([3.2, -3.0, 0.7])
        y, scale, _, _ = quant(x)
        expected_scale = -x[0].item() / 4
        q = [min(3, max(-4, round(v / expected_scale))) for v in x.tolist()]
        assert scale.item() == expected_scale
        assert y.tolist() == pytest.approx([each * expected_scale for each in q])
        assert y[0].item() == x[0].item()


def test_gradient_matches_the_formula_in_float64(backend):
    x = torch.tensor([0.9, -0.2, 0.3, -1.5], dtype=torch.float64, requires_grad=True)
    quant = signed_quant().double()
    y, scale, _, _ = quant(x)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    (weights * y).sum().backward()

    s = 1.5 / 4
    q = [round(v / s) for v in x.tolist()]
    inside = [-4 <= each <= 3 for each in q]
    clamped = [min(3, max(-4, each)) for each in q]
    to_x = [w if i else 0.0 for w, i in zip(weights.tolist(), inside, strict=True)]
    to_s = sum(
        w * (c - (v / s if i else 0.0))
        for w, c, v, i in zip(weights.tolist(), clamped, x.tolist(), inside, strict=True)
    )
    to_x[3] -= to_s / 4  # s is minus a quarter of the largest element
    torch.testing.assert_close(x.grad.tolist(), to_x)


def test_zeros_quantize_to_zeros_by_a_scale_above_zero(backend, dtypes):
    quant = signed_quant()
    for dtype in dtypes:
        y, scale, _, _ = quant.to(dtype)(torch.zeros(3, dtype=dtype))
        assert not y.any()
        assert scale.item() > 0


@pytest.mark.parametrize("function", [lambda x: keep_from_zero(x, 0.5), nonzero_scale])
def test_sign_dtype_and_nan_are_kept(function, dtype):
    x = torch.tensor([-2.0, 2.0, torch.nan], dtype=dtype)
    y = function(x)
    assert y.dtype == dtype
    assert y[:2].tolist() == [-2.0, 2.0]
    assert y[2].isnan()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_scale_is_never_below_the_smallest_normal_number(sign):
    tiny = torch.finfo(torch.float32).tiny
    scale = signed_scale_from_threshold(torch.tensor(sign * 1e-40), torch.tensor(127.0))
    assert scale.item() == sign * tiny
    assert nonzero_scale(torch.tensor(sign * 1e-40)).item() == tiny
