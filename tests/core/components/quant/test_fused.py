"""Quantizers of one op, against the same ones of single ops.

A part of a kind of its own, even one that computes the same as the standard one, is called by
itself; that gives the composed quantizer to compare with.
"""

import re

import pytest
import torch

from qat import config, jit
from qat.components import (
    BinaryQuant,
    BitWidthConst,
    ClampedBinaryQuant,
    ConstScaling,
    IntQuant,
    IntScaling,
    ParameterScaling,
    RescalingIntQuant,
    RoundSte,
    TensorClamp,
    TensorClampSte,
    TernaryQuant,
    ZeroZeroPoint,
)
from qat.ops import NO_BOUNDS, Bounds, activated, binary_sign_ste, tensor_clamp, ternary_sign_ste
from qat.proxy.fusion import describe


class OwnRound(RoundSte):
    pass


class OwnClamp(TensorClamp):
    pass


class OwnClampSte(TensorClampSte):
    pass


OWN = {None: OwnClamp, TensorClamp: OwnClamp, TensorClampSte: OwnClampSte}
SCALES = {"tensor": (), "channel": (6, 1), "group": (6, 5, 1)}
ACTIVATIONS = [NO_BOUNDS, Bounds(0.0, None), Bounds(-0.3, 0.9)]


def clamp_of(kind):
    return None if kind is None else kind()


def sample(dtype) -> torch.Tensor:
    x = (torch.randn(6, 5, 16) * 0.8).to(dtype)
    edges = [0.0, -0.0, 0.125, -0.375, torch.inf, -torch.inf, torch.nan]
    x.view(-1)[: len(edges)] = torch.tensor(edges, dtype=dtype)
    return x.reshape(6, 80)


def scale_for(name, dtype) -> torch.Tensor:
    scale = (torch.rand(SCALES[name]) * 0.3 + 0.05).to(dtype)
    scale.view(-1)[0] = 0.25
    return scale


def values_and_gradients(function, x, *parameters):
    leaves = [t.detach().clone().requires_grad_() for t in (x, *parameters)]
    y = function(*leaves)
    finite = torch.where(y.isfinite(), y, 0.0)  # of NaN come gradients of NaN
    weights = torch.linspace(0.5, 2.0, y.numel(), dtype=y.dtype).reshape(y.shape)
    return y.detach(), torch.autograd.grad((weights * finite).sum(), leaves)


def assert_same(fused, composed, x, *parameters) -> None:
    """Values to the bit, and which gradients of x are zero; composed, they are ``g * s / s``."""
    value, gradients = values_and_gradients(fused, x, *parameters)
    expected, expected_gradients = values_and_gradients(composed, x, *parameters)
    torch.testing.assert_close(value, expected, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(gradients[0] == 0, expected_gradients[0] == 0)
    tolerance = 4 * torch.finfo(x.dtype).eps
    torch.testing.assert_close(gradients[0], expected_gradients[0], rtol=tolerance, atol=0)
    if x.isfinite().all():
        tolerance *= 50  # of sums
        for a, b in zip(gradients[1:], expected_gradients[1:], strict=True):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=30 * tolerance)


GRIDS = [  # signed, narrow, clamp
    (True, False, None),
    (True, True, None),
    (False, False, None),
    (True, False, TensorClamp),
    (False, False, TensorClampSte),
]


@pytest.mark.parametrize(("signed", "narrow", "clamp"), GRIDS)
def test_integers_are_those_of_the_parts(signed, narrow, clamp, dtype, built):
    fused = built(IntQuant(narrow, signed, RoundSte(), clamp_of(clamp)))
    composed = built(IntQuant(narrow, signed, OwnRound(), OWN[clamp]()))
    assert (describe(fused), describe(composed)) == ("fused", "composed")

    def of(quant, bounds):
        return lambda x, scale: quant(scale, zero, bits, x, bounds)

    for scale in SCALES:
        values = scale_for(scale, dtype)
        zero, bits = torch.ones_like(values), torch.tensor(3.0, dtype=dtype)
        x = sample(dtype).reshape(6, 5, 16) if scale == "group" else sample(dtype)
        assert_same(of(fused, NO_BOUNDS), of(composed, NO_BOUNDS), x, values)
        for bounds in ACTIVATIONS:
            finite = torch.where(x.isfinite(), x, 0.1)
            assert_same(of(fused, bounds), of(composed, bounds), finite, values)


HALF = pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)


@HALF
@pytest.mark.parametrize("clamp", [TensorClamp, TensorClampSte])
def test_integers_of_a_half_type_and_a_float32_scale_are_those_of_the_parts(clamp, half, built):
    both = (
        built(IntQuant(False, True, RoundSte(), clamp())),
        built(IntQuant(False, True, OwnRound(), OWN[clamp]())),
    )
    zero, bits = torch.tensor(3.0), torch.tensor(8.0)
    for scale in SCALES:
        values = scale_for(scale, torch.float32) / 20
        x = sample(half).reshape(6, 5, 16) if scale == "group" else sample(half)
        for bounds in ACTIVATIONS:
            made = [quant(values, zero, bits, x, bounds) for quant in both]
            assert made[0].dtype == made[1].dtype == torch.result_type(x, values)
            torch.testing.assert_close(*made, rtol=0, atol=0, equal_nan=True)


@HALF
@pytest.mark.parametrize(
    "make",
    [
        lambda steps: BinaryQuant(ConstScaling(0.1), steps),
        lambda steps: ClampedBinaryQuant(ConstScaling(0.1), quant_delay_steps=steps),
        lambda steps: TernaryQuant(ConstScaling(0.1), 0.7, steps),
    ],
    ids=["binary", "clamped", "ternary"],
)
def test_a_half_type_is_compared_with_the_float32_scale(make, half, backend):
    # 0.1 lies between two numbers of either half type, and so does 0.07
    near = torch.tensor([0.1, 0.07]).to(half)
    x = torch.stack([near, torch.nextafter(near, near + 1), torch.nextafter(near, near - 1)])
    fused, composed = make(0), make(1)
    assert (describe(fused), describe(composed)) == ("fused", "composed")
    composed(x)  # waits
    found = []
    for quant in (fused, composed):
        leaf = x.clone().requires_grad_()
        y = quant(leaf)[0]
        (gradient,) = torch.autograd.grad(y.sum(), leaf)
        found.append((y.detach(), gradient))
    assert found[0][0].dtype == half
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def binary_of_parts(x, scale, clamp):
    if clamp is not None:
        x = tensor_clamp(x, -scale, scale) if clamp is TensorClamp else x
    return binary_sign_ste(x) * scale


def ternary_of_parts(x, scale, threshold):
    zero = x.abs() <= threshold * scale
    return ternary_sign_ste(x).masked_fill(zero, 0.0) * scale


@pytest.mark.parametrize("scale", ["tensor", "channel"])
def test_binary_and_ternary_values_are_those_of_the_parts(scale, dtype, backend):
    start, x = scale_for(scale, dtype), torch.where(sample(dtype).isfinite(), sample(dtype), 0.1)
    cases = [
        (BinaryQuant, (), lambda x, s: binary_of_parts(x, s, None)),
        (ClampedBinaryQuant, (), lambda x, s: binary_of_parts(x, s, TensorClamp)),
        (ClampedBinaryQuant, (TensorClampSte(),), lambda x, s: binary_of_parts(x, s, None)),
        (TernaryQuant, (0.5,), lambda x, s: ternary_of_parts(x, s, 0.5)),
    ]
    for kind, arguments, of_parts in cases:
        quant = kind(ParameterScaling(start), *arguments).to(dtype)
        assert describe(quant) == "fused"
        for bounds in ACTIVATIONS:
            leaf, learned = x.clone().requires_grad_(), start.clone().requires_grad_()
            expected = of_parts(activated(leaf, bounds), learned)
            y = quant(leaf, bounds)[0]
            assert torch.equal(y, expected)
            found = torch.autograd.grad(y.sum(), (leaf, quant.scaling_impl.value))
            expected = torch.autograd.grad(expected.sum(), (leaf, learned))
            assert torch.equal(found[0], expected[0])
            tolerance = 200 * torch.finfo(dtype).eps
            torch.testing.assert_close(found[1], expected[1], rtol=tolerance, atol=30 * tolerance)


@pytest.mark.parametrize("kind", [BinaryQuant, ClampedBinaryQuant])
def test_clamp_of_ones_own_or_a_delay_is_called_by_itself(kind, backend):
    delayed = [kind(ConstScaling(0.5), quant_delay_steps=1)]
    delayed.append(TernaryQuant(ConstScaling(0.5), 0.5, quant_delay_steps=1))
    if kind is ClampedBinaryQuant:
        delayed.append(kind(ConstScaling(0.5), OwnClamp()))
    for quant in delayed:
        assert describe(quant) == "composed" and not quant.fuses_activation
        x = sample(torch.float32)
        y = quant(x, Bounds(0.0, None))[0]  # the activation is applied all the same
        first = quant(torch.relu(x))[0] if isinstance(quant, BinaryQuant) else y
        assert bool((y[~y.isnan()] >= 0).all()) and first.shape == x.shape


def int_quant(**parts) -> IntQuant:
    return IntQuant(narrow_range=False, signed=True, **parts)


def test_delayed_integers_are_composed_and_wait(built):
    quant = built(int_quant(quant_delay_steps=1))
    assert describe(quant) == "composed"
    x, one = torch.tensor([-0.7, 0.7]), torch.tensor(1.0)
    assert quant(one, 0 * one, 4 * one, x, Bounds(0.0, None)).tolist() == [0.0, pytest.approx(0.7)]
    assert quant(one, 0 * one, 4 * one, x, Bounds(0.0, None)).tolist() == [0.0, 1.0]


def test_part_that_is_replaced_after_construction_is_the_one_that_is_called():
    class Half(RoundSte):
        def forward(self, x):
            return 0 * x + 0.5

    quant, one = int_quant(), torch.tensor(1.0)
    x = torch.tensor([3.2])
    assert quant.fused and quant(one, 0 * one, 4 * one, x).item() == 3.0
    quant.float_to_int_impl = Half()
    assert not quant.fused and quant(one, 0 * one, 4 * one, x).item() == 0.5
    quant.float_to_int_impl = RoundSte()
    assert quant.fused and quant(one, 0 * one, 4 * one, x).item() == 3.0


def test_clamp_that_is_replaced_after_construction_decides_about_the_gradient():
    quant, one = int_quant(), torch.tensor(1.0)
    slopes = []
    for clamp in (TensorClamp(), TensorClampSte(), OwnClampSte()):
        quant.tensor_clamp_impl = clamp
        x = torch.tensor([30.0], requires_grad=True)
        quant(one, 0 * one, 4 * one, x).backward()
        slopes.append((quant.fused, x.grad.item()))
    assert slopes == [(True, 0.0), (True, 1.0), (False, 1.0)]


def rescaling(**parts) -> RescalingIntQuant:
    return RescalingIntQuant(
        int_quant(**parts),
        ConstScaling(2.0),
        IntScaling(True, False),
        ZeroZeroPoint(),
        BitWidthConst(3),
    )


@pytest.mark.parametrize(
    ("kind", "op"),
    [
        (int_quant, "qat::int_fake_quantize"),
        (rescaling, "qat::threshold_int_fake_quantize"),
        (lambda: BinaryQuant(ConstScaling(0.5)), "qat::binary_fake_quantize"),
        (lambda: TernaryQuant(ConstScaling(0.5), 0.5), "qat::ternary_fake_quantize"),
    ],
)
def test_torchscript_calls_the_registered_op(kind, op, toolchain, monkeypatch):
    if not jit.is_available():
        pytest.skip("this torch has no TorchScript, or PYTORCH_JIT=0 turns it off")
    monkeypatch.setattr(config, "JIT_ENABLED", True)
    graph = str(jit.script(kind()).inlined_graph)
    assert re.findall(r"qat::\w+_fake_quantize", graph) == [op]


@pytest.mark.parametrize(
    "parts", [{}, {"float_to_int_impl": OwnRound()}], ids=["fused", "composed"]
)
def test_rescaling_quantizer_applies_an_activation_either_way(parts, backend):
    quant = rescaling(**parts)
    assert quant.fuses_activation is (not parts) and describe(quant) == (
        "composed" if parts else "fused"
    )
    x = sample(torch.float32)
    for bounds in ACTIVATIONS:
        expected = quant(activated(x, bounds))[0]
        torch.testing.assert_close(quant(x, bounds)[0], expected, rtol=0, atol=0, equal_nan=True)
