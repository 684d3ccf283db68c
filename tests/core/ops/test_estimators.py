"""Quantizers with an estimated gradient against their formulas, in float64."""

import math

import pytest
import torch

from qat import ops
from qat.enums import SignGradient

X = [-3.0, -1.0, -0.6, -0.25, -0.0, 0.0, 0.25, 0.6, 1.0, 3.0]
SIGNS = [-1.0] * 4 + [1.0] * 6
SCALE, T = 0.5, 0.4


def derivative_of_binary(gradient, x):
    """``dy / dx`` of ``sign(x) * SCALE`` as published; ``len(X)`` elements share the scale."""
    inside = 1.0 if abs(x) <= 1 else 0.0
    return {
        "straight": 1.0,
        "clip": SCALE * inside,
        "approx_sign": SCALE * (2 + 2 * x if -1 <= x < 0 else 2 - 2 * x if 0 <= x < 1 else 0.0),
        "ede": SCALE * max(1 / T, 1) * T * (1 - math.tanh(T * x) ** 2),
        "xnor": 1 / len(X) + SCALE * inside,
    }[gradient]


def leaf(numbers, dtype=torch.float64):
    return torch.tensor(numbers, dtype=dtype, requires_grad=True)


WEIGHTS = torch.arange(1.0, len(X) + 1, dtype=torch.float64)


@pytest.mark.parametrize("gradient", [str(each) for each in SignGradient])
def test_binary_value_and_gradients_are_those_of_the_formula(gradient, backend):
    x, scale = leaf(X), leaf(SCALE)
    y = ops.estimated_binary_quantize(x, scale, gradient, torch.tensor(T, dtype=torch.float64))
    (WEIGHTS * y).sum().backward()
    assert y.tolist() == [SCALE * sign for sign in SIGNS]
    expected = [derivative_of_binary(gradient, item) for item in X]
    torch.testing.assert_close(x.grad, WEIGHTS * torch.tensor(expected, dtype=torch.float64))
    assert scale.grad.item() == sum(w * s for w, s in zip(WEIGHTS.tolist(), SIGNS, strict=True))


def test_sharpness_above_one_has_no_factor_beyond_its_own():
    x, t = leaf([0.0, 0.3]), torch.tensor(10.0, dtype=torch.float64)
    ops.estimated_binary_quantize(x, torch.ones_like(t), "ede", t).sum().backward()
    expected = [10 * (1 - math.tanh(10 * item) ** 2) for item in (0.0, 0.3)]  # k = 1
    torch.testing.assert_close(x.grad, torch.tensor(expected, dtype=torch.float64))


def test_scale_per_channel_gets_the_gradient_of_its_channel():
    x, scale = leaf([[1.0, -2.0], [-1.0, -3.0]]), leaf([[0.5], [2.0]])
    y = ops.estimated_binary_quantize(x, scale, "clip", torch.tensor(1.0))
    (torch.tensor([[1.0, 2.0], [3.0, 4.0]]) * y).sum().backward()
    assert y.tolist() == [[0.5, -0.5], [-2.0, -2.0]]
    assert scale.grad.tolist() == [[1.0 - 2.0], [-3.0 - 4.0]]
    assert x.grad.tolist() == [[0.5, 0.0], [3 * 2.0, 0.0]]


def test_name_of_no_gradient_lists_those_there_are():
    x = leaf([1.0])
    y = ops.estimated_binary_quantize(x, torch.tensor(1.0), "swish", torch.tensor(1.0))
    with pytest.raises(ValueError, match="'swish'; choose one of 'straight', 'clip'"):
        y.sum().backward()


@pytest.mark.parametrize("scaled", [True, False])
def test_ternary_value_and_gradients_are_those_of_the_formula(scaled, backend):
    x, d, p, n = leaf(X), leaf(0.5), leaf(2.0), leaf(3.0)
    y = ops.two_sided_ternary_quantize(x, d, p, n, scaled)
    (WEIGHTS * y).sum().backward()
    assert y.tolist() == [-3.0, -3.0, -3.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0]
    factors = [3.0] * 3 + [1.0] * 4 + [2.0] * 3 if scaled else [1.0] * 10
    assert x.grad.tolist() == [w * f for w, f in zip(WEIGHTS.tolist(), factors, strict=True)]
    assert p.grad.item() == 8 + 9 + 10
    assert n.grad.item() == -(1 + 2 + 3)
    assert d.grad is None


def test_pact_value_and_gradients_are_those_of_the_formula(backend):
    x, bound = leaf([-1.0, 0.0, 0.3, 0.74, 1.4, 1.5, 1.6, 9.0]), leaf(1.5)
    scale, qmax = bound.detach() / 3, torch.tensor(3.0, dtype=torch.float64)
    y = ops.pact_fake_quantize(x, bound, scale, qmax)
    (WEIGHTS[:8] * y).sum().backward()
    assert y.tolist() == [0.0, 0.0, 0.5, 0.5, 1.5, 1.5, 1.5, 1.5]
    assert x.grad.tolist() == [0.0, 0.0, 3.0, 4.0, 5.0, 0.0, 0.0, 0.0]  # 0 < x < bound
    assert bound.grad.item() == 6 + 7 + 8  # x >= bound


def test_scaled_gradient_changes_nothing_but_the_gradient(backend):
    x = leaf([1.0, -2.0])
    y = ops.scaled_gradient(x, 0.25)
    (y * torch.tensor([4.0, 8.0])).sum().backward()
    assert torch.equal(y, x)
    assert x.grad.tolist() == [1.0, 2.0]


ONE, HALF, ZERO = torch.tensor(1.0), torch.tensor(0.5), torch.tensor(0.0)
OPS = {
    **{
        f"binary_{each}": lambda x, each=each: ops.estimated_binary_quantize(x, HALF, each, ONE)
        for each in SignGradient
    },
    "ternary": lambda x: ops.two_sided_ternary_quantize(x, HALF, ONE, ONE, True),
    "pact": lambda x: ops.pact_fake_quantize(x, ONE, HALF, 2 * ONE),
}


@pytest.fixture(params=OPS, ids=str)
def op(request):
    return OPS[request.param]


def test_only_the_input_is_kept_for_the_backward_pass(op):
    kept = []
    x = torch.randn(1000, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        op(x)
    assert {t.data_ptr() for t in kept if t.numel() > 1} == {x.data_ptr()}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_half_types_give_the_values_and_gradients_of_float_rounded(op, dtype):
    x = torch.tensor(X).to(dtype).requires_grad_()
    wide = x.detach().double().requires_grad_()
    y, expected = op(x), op(wide)
    y.sum().backward()
    expected.sum().backward()
    assert y.dtype == x.grad.dtype == dtype
    assert torch.equal(y.double(), expected)
    torch.testing.assert_close(x.grad.double(), wide.grad, rtol=0.02, atol=0.01)


def test_nan_stays_nan_and_infinity_saturates(op):
    y = op(torch.tensor([math.nan, math.inf, -math.inf]))
    assert y[0].isnan()
    assert bool(y[1:].isfinite().all())


def test_scale_of_a_wider_type_gives_its_type():
    x = torch.ones(2, 2, dtype=torch.float16, requires_grad=True)
    scale = torch.ones(2, 1, requires_grad=True)
    y = ops.estimated_binary_quantize(x, scale, "clip", ONE)
    y.sum().backward()
    assert (y.dtype, x.grad.dtype, scale.grad.dtype) == (
        torch.float32,
        torch.float16,
        torch.float32,
    )
