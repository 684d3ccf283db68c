"""One scale in front of the rounding, another behind it."""

import copy
import pickle

import pytest
import torch
from torch import nn

from qat.components import (
    AbsMax,
    BitWidthConst,
    ConstScaling,
    DecoupledIntQuant,
    DecoupledRescalingIntQuant,
    FloorSte,
    IntScaling,
    OverOutputChannelView,
    ParameterPreScalingWeightNorm,
    ParameterScaling,
    PreZeroCenterZeroPoint,
    StatsFromParameterScaling,
    StatsPreScaling,
    TensorClampSte,
    ZeroZeroPoint,
)
from qat.components.stats import L1Norm, L2Norm

X = torch.tensor([0.041, -0.052, 0.31, -0.44, 0.5])
PRE, SCALE, ZERO, BITS = torch.tensor([0.02, 0.01, 0.0, 4.0]).unbind()


def test_value_is_rounded_by_the_first_scale_and_given_in_the_second(built):
    quant = built(DecoupledIntQuant(narrow_range=True, signed=True))
    y = quant(PRE, ZERO, SCALE, ZERO, BITS, X)
    # q = round(2.05), round(-2.6), 15.5 -> 7, -22 -> -7, 25 -> 7
    torch.testing.assert_close(y, torch.tensor([0.02, -0.03, 0.07, -0.07, 0.07]))


def test_both_zero_points_shift_their_side(built):
    quant = built(DecoupledIntQuant(narrow_range=False, signed=False))
    y = quant(PRE, torch.tensor(3.2), SCALE, torch.tensor(1.0), BITS, X)
    # x / .02 + 3.2 = 5.25, 0.6, 18.7, -18.8, 28.2 -> 5, 1, 15, 0, 15; minus 1
    torch.testing.assert_close(y, torch.tensor([0.04, 0.0, 0.14, -0.01, 0.14]))


@pytest.mark.parametrize("clamp", [None, TensorClampSte], ids=["clipped", "straight"])
def test_gradient_is_that_of_the_formula(clamp, built):
    quant = built(DecoupledIntQuant(True, True, None, None if clamp is None else clamp()))
    inputs = [t.double().clone().requires_grad_() for t in (PRE, SCALE, X)]
    pre, scale, x = inputs
    zero = ZERO.double()
    weights = torch.arange(1.0, 6.0, dtype=torch.float64)
    (weights * quant(pre, zero, scale, zero, BITS.double(), x)).sum().backward()

    # y = s q, q = x / p inside: dy/dx = s / p, dy/dp = -s x / p**2; dy/ds = q
    q = torch.tensor([2.0, -3.0, 7.0, -7.0, 7.0], dtype=torch.float64)
    goes = torch.tensor([1.0, 1.0, 0, 0, 0] if clamp is None else [1.0] * 5, dtype=torch.float64)
    to_x = weights * goes * 0.01 / 0.02
    torch.testing.assert_close(x.grad, to_x, rtol=1e-6, atol=0)
    torch.testing.assert_close(pre.grad, -(to_x * X.double()).sum() / 0.02, rtol=1e-6, atol=0)
    torch.testing.assert_close(scale.grad, (weights * q).sum(), rtol=1e-6, atol=0)


def test_rounding_is_exchanged_and_quantization_delayed(built):
    quant = built(DecoupledIntQuant(True, True, FloorSte(), None, 1))
    given = (PRE, ZERO, SCALE, ZERO, BITS, X)
    assert torch.equal(quant(*given), X)
    torch.testing.assert_close(quant(*given)[:2], torch.tensor([0.02, -0.03]))


def test_integers_of_half_types_are_found_in_float32(built):
    x = torch.tensor([100.6], dtype=torch.bfloat16)  # 100.5
    one = torch.tensor(1.0, dtype=torch.bfloat16)
    q = built(DecoupledIntQuant(True, True)).to_int(one, 0 * one, 8 * one, x / 1.0 + 0.25)
    assert q.dtype == torch.float32
    y = built(DecoupledIntQuant(True, True))(one, 0 * one, one, 0 * one, 8 * one, x)
    assert (y.item(), y.dtype) == (100.0, torch.bfloat16)


def rescaling(**parts):
    made = {
        "decoupled_int_quant": DecoupledIntQuant(True, True),
        "pre_scaling_impl": StatsPreScaling(StatsFromParameterScaling(AbsMax())),
        "scaling_impl": ParameterScaling(1.4),
        "int_scaling_impl": IntScaling(True, True),
        "pre_zero_point_impl": ZeroZeroPoint(),
        "zero_point_impl": ZeroZeroPoint(),
        "bit_width_impl": BitWidthConst(4),
    }
    return DecoupledRescalingIntQuant(**{**made, **parts})


def test_quantizer_finds_its_two_scales(backend, dtype):
    y, scale, zero_point, bit_width = rescaling().to(dtype)(X.to(dtype))
    # in front .5 / 7, behind 1.4 / 7; x / .0714 = .57, -.7, 4.34, -6.16, 7
    expected = 0.2 * torch.tensor([1.0, -1.0, 4.0, -6.0, 7.0])
    torch.testing.assert_close(y, expected.to(dtype), rtol=0.01, atol=0)
    assert {item.dtype for item in (y, scale, zero_point, bit_width)} == {dtype}
    assert scale.item() == pytest.approx(0.2, rel=0.01)
    assert (zero_point.item(), bit_width.item()) == (0.0, 4.0)


def test_zeros_quantize_to_zeros(backend, dtype):
    assert not rescaling().to(dtype)(torch.zeros(3, dtype=dtype))[0].any()


W = torch.tensor([[0.3, -0.4, 0.0], [1.0, 2.0, -2.0]])


def norm_scaling(norm=L2Norm, weight=W, **kwargs):
    shape = (weight.shape[0], 1)
    return ParameterPreScalingWeightNorm(
        norm(1), [weight], OverOutputChannelView(), shape, **kwargs
    )


@pytest.mark.parametrize(("norm", "expected"), [(L2Norm, [0.5, 3.0]), (L1Norm, [0.7, 5.0])])
def test_learned_norm_starts_at_that_of_the_weight(norm, expected, built):
    scaling = built(norm_scaling(norm))
    torch.testing.assert_close(scaling.norm_scaling.value.flatten(), torch.tensor(expected))
    scale = torch.tensor([[0.1], [0.2]])
    torch.testing.assert_close(scaling(W, scale, torch.tensor(7.0)), scale)


def test_pre_scale_follows_norm_and_learned_norm(built):
    scaling = built(norm_scaling())
    with torch.no_grad():
        scaling.norm_scaling.value.mul_(4.0)
    one = torch.tensor(1.0)
    torch.testing.assert_close(scaling(2 * W, one, one), torch.full((2, 1), 0.5))  # 2 / 4


def test_shared_weight_norm_is_refused():
    with pytest.raises(ValueError, match="a weight norm is learned for one layer, but 2 share"):
        ParameterPreScalingWeightNorm(L2Norm(1), [W, W], OverOutputChannelView(), (2, 1))


def test_zero_center_takes_off_the_mean_of_each_channel(built, dtype):
    center = built(PreZeroCenterZeroPoint(OverOutputChannelView(), (2, 1)))
    x, scale = W.to(dtype), torch.tensor(0.5, dtype=dtype)
    expected = torch.tensor([[0.1 / 3 / 0.5], [-1.0 / 3 / 0.5]])
    torch.testing.assert_close(
        center(x, scale, BITS.to(dtype)), expected.to(dtype), rtol=2e-2, atol=2e-3
    )


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_copy_computes_the_same(copied, monkeypatch):
    monkeypatch.setattr("qat.config.JIT_ENABLED", False)
    quant = rescaling(pre_scaling_impl=norm_scaling(), scaling_impl=ConstScaling(1.4))
    expected = quant(W)[0]
    assert torch.equal(copied(quant)(W)[0], expected)


def test_quantizer_compiles_into_one_graph(compiler):
    quant = rescaling(pre_scaling_impl=norm_scaling())
    weight = nn.Parameter(W.clone())
    compiled = torch.compile(quant, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(weight)[0], quant(weight)[0])
