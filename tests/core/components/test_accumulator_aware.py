"""Accumulators that no sum of products overflows (A2Q, A2Q+)."""

import itertools

import pytest
import torch
from torch import nn

from qat.components import (
    AbsMax,
    AccumulatorAwareParameterPreScaling,
    AccumulatorAwareZeroCenterParameterPreScaling,
    BitWidthConst,
    BitWidthStatefulConst,
    DecoupledIntQuant,
    DecoupledRescalingIntQuantWithInput,
    IntScaling,
    LogFloatRestrictValue,
    OverOutputChannelView,
    ParameterFromStatsFromParameterScaling,
    PreZeroCenterZeroPoint,
    RoundToZeroSte,
    ZeroZeroPoint,
)
from qat.components.stats import L1Norm, L2Norm


@pytest.fixture
def eager(monkeypatch):
    """Quantizers stay in Python, whatever the environment says."""
    monkeypatch.setattr("qat.config.JIT_ENABLED", False)


ACCUMULATORS = [(8, 4), (12, 8), (16, 8), (24, 8), (32, 4), (32, 8), (10, 1)]


def quantizer(weight, accumulator_bits, centered, bits=8):
    """A2Q, or A2Q+ where ``centered``, as the ready-made quantizers have it."""
    view, shape = OverOutputChannelView(), (weight.shape[0], 1)
    pre_zero_point = PreZeroCenterZeroPoint(view, shape) if centered else ZeroZeroPoint()
    kind = AccumulatorAwareParameterPreScaling
    pre_scaling = (
        BitWidthStatefulConst(accumulator_bits),
        L1Norm(1),
        [weight],
        view,
        shape,
        LogFloatRestrictValue(),
        1e-10,
    )
    if centered:
        kind = AccumulatorAwareZeroCenterParameterPreScaling
        pre_scaling = (pre_zero_point, *pre_scaling)
    return DecoupledRescalingIntQuantWithInput(
        DecoupledIntQuant(True, True, RoundToZeroSte()),
        kind(*pre_scaling),
        ParameterFromStatsFromParameterScaling(
            AbsMax(1), [weight], view, shape, LogFloatRestrictValue(), 1e-10
        ),
        IntScaling(True, True),
        pre_zero_point,
        ZeroZeroPoint(),
        BitWidthConst(bits),
    )


def integers(quant, weight, input_bits, signed):
    y, scale, _, _ = quant(weight, torch.tensor(float(input_bits)), signed)
    q = torch.round(y.detach().double() / scale.detach().double())
    torch.testing.assert_close(q * scale, y.detach().double(), rtol=1e-2, atol=1e-6)
    return q


def largest_sum(q, input_bits, signed):
    """The largest ``|sum q x|`` of a channel over all integer inputs, exactly."""
    low, high = (-(2 ** (input_bits - 1)), 2 ** (input_bits - 1) - 1)
    if not signed:
        low, high = 0, 2**input_bits - 1
    up, down = q.clamp(min=0).sum(1), -q.clamp(max=0).sum(1)
    return max((up * high - down * low).max().item(), (down * high - up * low).max().item())


def weights():
    """Weights that are easy and awkward to bound."""
    torch.manual_seed(0)
    normal = torch.randn(6, 300)
    return {
        "normal": normal,
        "large mean": normal * 1e-3 + 5.0,
        "all equal": torch.full((3, 300), 0.7),
        "one element": torch.randn(5, 1),
        "one not zero": torch.nn.functional.pad(torch.randn(4, 1), (0, 99)),
        "two equal magnitudes": torch.tensor([[1.0, -1.0]] * 2).repeat(1, 128),
        "huge and tiny": torch.cat([normal * 1e4, normal * 1e-6]),
        "zeros": torch.zeros(2, 5),
    }


#: Weights whose sums differ most between the types, by their errors.
IN_EACH_TYPE = ["normal", "large mean", "one not zero", "huge and tiny"]
OTHERS = [torch.float16, torch.bfloat16, torch.float64]


@pytest.mark.parametrize("centered", [False, True], ids=["A2Q", "A2Q+"])
@pytest.mark.parametrize(
    ("name", "dtype", "cases"),
    [
        *((name, torch.float32, ACCUMULATORS) for name in weights()),
        *((name, dtype, [(12, 8), (24, 8)]) for name in IN_EACH_TYPE for dtype in OTHERS),
    ],
    ids=lambda item: "" if isinstance(item, list) else str(item).removeprefix("torch."),
)
def test_no_sum_overflows_the_accumulator(name, dtype, cases, centered, eager):
    weight = weights()[name].to(dtype)
    quant = quantizer(weight, 32, centered).to(dtype)
    width = quant.pre_scaling_impl.accumulator_bit_width.bit_width
    for (accumulator, bits), signed in itertools.product(cases, (True, False)):
        if signed and bits == 1:
            continue  # a signed number of one bit is -1 or 0: no input of ours
        width.fill_(accumulator)
        q = integers(quant, weight, bits, signed)
        assert largest_sum(q, bits, signed) <= 2 ** (accumulator - 1) - 1


@pytest.mark.parametrize(
    ("centered", "signed"),
    [(False, True), (False, False), (True, False)],
    ids=["A2Q signed", "A2Q unsigned", "A2Q+"],
)
def test_no_sum_overflows_after_any_optimizer_steps(centered, signed, eager):
    torch.manual_seed(1)
    weight = nn.Parameter(torch.randn(4, 128))
    quant = quantizer(weight, 14, centered)
    optimizer = torch.optim.SGD([weight, *quant.parameters()], lr=0.3)
    for _ in range(5):
        y = quant(weight, torch.tensor(8.0), signed)[0]
        optimizer.zero_grad()
        (torch.randn_like(y) * y).sum().backward()
        optimizer.step()
        assert largest_sum(integers(quant, weight, 8, signed), 8, signed) <= 2**13 - 1


@pytest.mark.parametrize("centered", [False, True], ids=["A2Q", "A2Q+"])
def test_most_of_the_accumulator_is_used(centered):
    torch.manual_seed(2)
    weight = torch.randn(8, 200)
    q = integers(quantizer(weight, 20, centered), weight, 8, False)
    # A2Q counts all magnitudes, of which only one sign meets an unsigned input; both lose about
    # half a step per element to the rounding towards zero
    share = largest_sum(q, 8, False) / (2**19 - 1)
    assert share > (0.7 if centered else 0.35)


def reference(weight, g, s, largest, centered):
    """A2Q and A2Q+ in float64: ``s * clamp(rtz(v / max(|v|_1 s / g, |v|_1 / T)))``."""
    v = weight - weight.mean(1, keepdim=True) if centered else weight
    norm = v.abs().sum(1, keepdim=True)
    pre_scale = torch.maximum(norm * s / g, norm / largest)
    return torch.trunc(v / pre_scale).clamp(-127, 127) * s


@pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)
@pytest.mark.parametrize("accumulator", [14, 32], ids=["bound", "free"])
@pytest.mark.parametrize("centered", [False, True], ids=["A2Q", "A2Q+"])
def test_value_is_that_of_the_formula(centered, accumulator, backend):
    torch.manual_seed(3)
    weight = torch.randn(6, 50, dtype=torch.float64)
    quant = quantizer(weight, accumulator, centered)
    y, scale, _, _ = quant(weight, torch.tensor(8.0, dtype=torch.float64), False)
    s = weight.abs().amax(1, keepdim=True) / 127
    g = weight.abs().sum(1, keepdim=True)
    largest = (2**accumulator - 2) / 255 if centered else (2 ** (accumulator - 1) - 1) / 256
    torch.testing.assert_close(scale.detach(), s)
    expected = reference(weight, g, s, largest, centered)
    # the largest element may be 127 steps or, rounded towards zero, a hair less
    is_hair = torch.isclose(expected.abs() / s, torch.tensor(127.0, dtype=torch.float64))
    torch.testing.assert_close(y.detach()[~is_hair], expected[~is_hair])


@pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)
@pytest.mark.parametrize("centered", [False, True], ids=["A2Q", "A2Q+"])
def test_learned_norm_has_a_gradient_only_where_it_is_free(centered, backend):
    torch.manual_seed(4)
    weight = nn.Parameter(torch.randn(4, 40, dtype=torch.float64))
    for accumulator, is_free in ((32, True), (12, False)):
        quant = quantizer(weight, accumulator, centered)
        quant(weight, torch.tensor(8.0, dtype=torch.float64), True)[0].abs().sum().backward()
        gradient = quant.pre_scaling_impl.norm_scaling.value.grad
        assert bool((gradient != 0).all()) is is_free
        assert bool(weight.grad.isfinite().all())


def test_bound_is_that_of_the_papers(eager):
    weight = torch.randn(3, 4)
    plain = quantizer(weight, 16, False).pre_scaling_impl
    centered = quantizer(weight, 16, True).pre_scaling_impl
    eight = torch.tensor(8.0)
    assert plain.largest_norm(eight, False).item() == (2**15 - 1) / 2**8
    assert plain.largest_norm(eight, True).item() == (2**15 - 1) / 2**7
    for signed in (True, False):
        assert centered.largest_norm(eight, signed).item() == pytest.approx((2**16 - 2) / 255)


@pytest.mark.parametrize(
    ("dtype", "rounding"), [(torch.float32, 2.0**-18), (torch.float64, 2.0**-47)], ids=str
)
@pytest.mark.parametrize(("mean", "imbalance"), [(1.0, 0.0), (1.25, 1.0)], ids=["exact", "off"])
def test_room_is_for_errors_of_weights_and_mean_and_for_what_the_mean_leaves(
    mean, imbalance, dtype, rounding, eager, monkeypatch
):
    weight = torch.tensor([[1.0, 2.0, 3.0, -2.0]], dtype=dtype)  # magnitudes add up to 8, all to 4
    pre_scaling = quantizer(weight, 16, True).to(dtype).pre_scaling_impl
    found = torch.tensor([[mean]], dtype=dtype)
    monkeypatch.setattr(pre_scaling.pre_zero_point_impl, "mean", lambda x: found)
    room = pre_scaling.room(weight).item()
    assert room == (8.0 + 4 * mean) * rounding + imbalance


@pytest.mark.parametrize(("centered", "bits"), [(False, 2), (True, 1)], ids=["A2Q", "A2Q+"])
def test_accumulator_that_holds_no_product_is_refused_when_built(centered, bits):
    with pytest.raises(ValueError, match=f"accumulator_bit_width is {bits}, .* not one product"):
        quantizer(torch.randn(2, 3), bits, centered)


def test_accumulator_that_holds_no_product_of_the_input_is_refused_at_the_first_call(eager):
    weight = torch.randn(2, 3)
    with pytest.raises(ValueError, match="with a signed input of 16 bit fits: all weights would"):
        quantizer(weight, 15, False)(weight, torch.tensor(16.0), True)


def test_norm_that_bounds_nothing_is_refused():
    weight = torch.randn(2, 3)
    with pytest.raises(ValueError, match="L2Norm, which does not bound .* use L1Norm"):
        AccumulatorAwareParameterPreScaling(
            BitWidthStatefulConst(16), L2Norm(1), [weight], OverOutputChannelView(), (2, 1)
        )


def test_learned_input_bit_width_gets_a_gradient(eager):
    weight = torch.randn(2, 30)
    bits = torch.tensor(8.0, requires_grad=True)
    quantizer(weight, 14, False)(weight, bits, False)[0].abs().sum().backward()
    assert bits.grad.item() < 0  # wider inputs leave less for the weights


def test_accumulator_bit_width_is_in_the_state_dict():
    state = quantizer(torch.randn(2, 3), 16, False).state_dict()
    assert state["pre_scaling_impl.accumulator_bit_width.bit_width"].item() == 16.0
