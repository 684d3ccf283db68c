"""Scales with a sign: the magnitude is bounded below, the sign stays."""

import pytest
import torch
from torch import nn

from qat.components import (
    BitWidthConst,
    ConstScaling,
    IntQuant,
    IntScaling,
    ParameterFromStatsFromParameterScaling,
    ParameterScaling,
    RescalingIntQuant,
    SignedFloatRestrictValue,
    StatsFromParameterScaling,
    ZeroZeroPoint,
)
from qat.components.stats import SignedAbsMax
from qat.ops import keep_from_zero, nonzero_scale, signed_scale_from_threshold

X = torch.tensor([1.0, -3.0, 0.5, 0.25])


def scalings(x, smallest=None):
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


@pytest.mark.parametrize("x", [-3.0, 3.0])
@pytest.mark.parametrize("which", range(4))
def test_scale_keeps_its_sign(which, x, built):
    modules, tracked = scalings(x)
    assert built(modules[which])(tracked).item() == x


@pytest.mark.parametrize("x", [-0.25, 0.25])
@pytest.mark.parametrize("which", range(4))
def test_magnitude_is_bounded_below(which, x, built):
    modules, tracked = scalings(x, smallest=0.5)
    assert built(modules[which])(tracked).item() == 2 * x


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


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_largest_element_gets_the_far_end_of_the_grid_whatever_its_sign(sign, backend):
    # the far end is -4: 3.2 is -4 * -0.8, and -3.2 is -4 * 0.8
    x = sign * torch.tensor([3.2, -3.0, 0.7])
    y, scale, _, _ = signed_quant()(x)
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


def test_zeros_quantize_to_zeros(backend, dtype):
    y, scale, _, _ = signed_quant().to(dtype)(torch.zeros(3, dtype=dtype))
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
