"""Zero points: formula, gradients, and the phase shared with scales."""

import copy
import pickle

import pytest
import torch
from torch import nn

from qat.components import (
    AbsMinMax,
    BitWidthConst,
    IntQuant,
    IntScaling,
    NegativeMinOrZero,
    OverOutputChannelView,
    OverTensorView,
    ParameterFromRuntimeStatsScaling,
    ParameterFromRuntimeZeroPoint,
    ParameterFromStatsFromParameterZeroPoint,
    ParameterScaling,
    ParameterZeroPoint,
    RealZeroPointIntQuant,
    RescalingIntQuant,
    RuntimeDynamicZeroPoint,
    SharedStatsFromParameterZeroPoint,
    StatsFromParameterZeroPoint,
    ZeroZeroPoint,
    finish_statistics,
)
from qat.components.scaling import collects_statistics, reads_input
from qat.ops import Bounds

UNSIGNED = IntQuant(narrow_range=False, signed=False)
SIGNED = IntQuant(narrow_range=False, signed=True)
SCALE, BITS = torch.tensor(0.5), torch.tensor(4.0)
X = torch.tensor([[-1.2, 3.0], [0.4, -2.6]])


def learned(steps=2, int_quant=UNSIGNED, quantize=True, **kwargs):
    return ParameterFromRuntimeZeroPoint(
        steps, int_quant, quantize, NegativeMinOrZero(), zero_point_stats_momentum=0.5, **kwargs
    )


def from_parameter(quantize=True, int_quant=UNSIGNED):
    return StatsFromParameterZeroPoint(
        int_quant, quantize, OverTensorView(), NegativeMinOrZero(), ()
    )


def dynamic(quantize=True, int_quant=UNSIGNED):
    return RuntimeDynamicZeroPoint(int_quant, quantize, OverTensorView(), NegativeMinOrZero())


def fixed(quantize=True, int_quant=UNSIGNED):
    return ParameterZeroPoint(2.6, int_quant, quantize)


def at_build(quantize=True, int_quant=UNSIGNED):
    return ParameterFromStatsFromParameterZeroPoint(
        int_quant, quantize, OverTensorView(), NegativeMinOrZero(), (), [X]
    )


def at_runtime(quantize=True, int_quant=UNSIGNED):
    return learned(int_quant=int_quant, quantize=quantize)


#: All of them begin at the lowest of X, -2.6.
MAKERS = [fixed, from_parameter, at_build, at_runtime, dynamic]
every = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
#: Eager with Python's ops, and scripted with those of C++, which have tests of their own.
eager_and_scripted = pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)


@eager_and_scripted
@every
def test_integer_zero_point_is_the_rounded_distance_of_the_lowest_kept_on_the_grid(make, built):
    unsigned, signed = built(make()), built(make(int_quant=SIGNED))
    assert unsigned(X, SCALE, BITS).item() == 5.0  # 2.6 / 0.5 = 5.2
    assert signed(X, SCALE, BITS).item() == -3.0  # 5 - 8
    assert unsigned(X, SCALE / 4, BITS).item() == 15.0  # 20.8
    assert signed(X, SCALE / 4, BITS).item() == 7.0


@eager_and_scripted
@every
def test_real_zero_point_is_not_rounded(make, built):
    zero_point = built(make(quantize=False))(X, SCALE, BITS)
    assert zero_point.item() == pytest.approx(5.2)


@every
def test_zero_point_follows_the_dtype(make, dtype):
    made = make().to(dtype)
    zero_point = made(X.to(dtype), SCALE.to(dtype), BITS.to(dtype))
    assert zero_point.dtype == dtype and zero_point.item() == 5.0


@every
def test_narrow_range_is_refused(make):
    for signed in (True, False):
        with pytest.raises(ValueError, match="narrow_range is True with a zero point.*to False"):
            make(int_quant=IntQuant(True, signed))


def test_symmetric_zero_point_is_zero(built):
    zero_point = built(ZeroZeroPoint())(X, SCALE, BITS)
    assert (zero_point.item(), zero_point.shape) == (0.0, ())


def test_per_channel_zero_points_have_the_shape_given(built):
    stats, view = NegativeMinOrZero(1), OverOutputChannelView()
    expected = [[2.0], [5.0]]
    recomputed = StatsFromParameterZeroPoint(UNSIGNED, True, view, stats, (2, 1))
    assert built(recomputed)(X, SCALE, BITS).tolist() == expected
    stored = ParameterFromStatsFromParameterZeroPoint(UNSIGNED, True, view, stats, (2, 1), [X])
    assert built(stored)(X, SCALE, BITS).tolist() == expected
    at_hand = RuntimeDynamicZeroPoint(UNSIGNED, True, view, stats)
    assert built(at_hand)(X, SCALE.expand(2, 1), BITS).tolist() == expected


def test_zero_points_of_groups_are_those_of_their_rows(built):
    rows = torch.tensor([[1.0, -0.5, 0.2, 0.0], [-3.0, 1.0, 1.0, 1.0], [2.0, 3.0, 4.0, 5.0]])
    view, stats = OverOutputChannelView(), NegativeMinOrZero(1)
    for made in (
        StatsFromParameterZeroPoint(UNSIGNED, True, view, stats, (3, 1)),
        ParameterFromStatsFromParameterZeroPoint(UNSIGNED, True, view, stats, (3, 1), [rows]),
    ):
        zero_point = built(made)(rows, SCALE.expand(3, 1), BITS)
        assert zero_point.tolist() == [[1.0], [6.0], [0.0]]


def test_shared_zero_point_is_that_of_all_parameters():
    others = [X, torch.tensor([[-4.0, 0.0], [0.0, 0.0]])]
    shared = SharedStatsFromParameterZeroPoint(
        others, UNSIGNED, True, OverTensorView(), NegativeMinOrZero(), ()
    )
    assert shared(X, SCALE, BITS).item() == 8.0
    assert list(shared.state_dict()) == []


def test_dynamic_zero_point_of_an_empty_tensor_is_that_of_zero(built):
    assert built(dynamic())(torch.empty(0, 3), SCALE, BITS).item() == 0.0


def test_initial_value_that_fits_no_shape_is_refused():
    with pytest.raises(ValueError, match=r"zero_point_init has shape \(2,\) but zero_point_shape"):
        ParameterZeroPoint(torch.zeros(2), UNSIGNED, True, (3, 1))
    assert ParameterZeroPoint(1, UNSIGNED, True, (3, 1)).value.shape == (3, 1)
    assert ParameterZeroPoint(torch.zeros(3), UNSIGNED, True, (3, 1)).value.shape == (3, 1)


# Gradients


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_learned_zero_point_gets_its_gradient_through_rounding_and_bounds(sign, built):
    made = built(ParameterZeroPoint(2.6 * sign, UNSIGNED))
    scale = torch.tensor(0.5, requires_grad=True)
    made(X, scale, BITS).backward()
    assert made.value.grad.item() == pytest.approx(sign / 0.5)  # d(|v| / s) / dv
    assert scale.grad.item() == pytest.approx(-2.6 / 0.25)
    made.value.grad = None
    made(X, torch.tensor(0.05), BITS).backward()  # 52, kept at 15
    assert made.value.grad.item() == pytest.approx(sign / 0.05)


def lsq_plus(x, s, beta, qmax, weights):
    """Value and gradients of LSQ+, arXiv:2004.09576, eq. 2 to 6, for real offsets."""
    free = torch.round((x - beta) / s)
    q = torch.clamp(free, 0, qmax)
    inside = q == free
    to_s = torch.where(inside, q - (x - beta) / s, q)
    to_beta = torch.where(inside, 0.0, 1.0)
    return (
        q * s + beta,
        weights * inside,
        (weights * to_s).sum().item(),
        (weights * to_beta).sum().item(),
    )


def test_gradients_of_scale_and_offset_are_those_of_lsq_plus(backend):
    int_quant = RealZeroPointIntQuant(narrow_range=False, signed=False)
    quant = RescalingIntQuant(
        int_quant,
        ParameterScaling(3.0),
        IntScaling(False, False),
        ParameterZeroPoint(1.3, int_quant, quantize_zero_point=False),
        BitWidthConst(3),
    ).double()
    x = (2 * torch.randn(50, dtype=torch.float64)).requires_grad_()
    weights = torch.linspace(-1, 2, 50, dtype=torch.float64)
    y = quant(x)[0]
    (weights * y).sum().backward()

    expected, to_x, to_s, to_beta = lsq_plus(x.detach(), 3.0 / 7, -1.3, 7, weights)
    torch.testing.assert_close(y.detach(), expected)
    torch.testing.assert_close(x.grad, to_x)
    assert quant.scaling_impl.value.grad.item() == pytest.approx(to_s / 7)
    assert quant.zero_point_impl.value.grad.item() == pytest.approx(-to_beta)


def test_statistic_of_a_parameter_gets_its_gradient(built):
    x = X.clone().requires_grad_()
    built(from_parameter())(x, SCALE, BITS).backward()
    assert x.grad.tolist() == [[0.0, 0.0], [0.0, -2.0]]


def test_runtime_statistic_hands_no_gradient_to_the_batch(built):
    x = X.clone().requires_grad_()
    zero_point = built(learned())(x, SCALE, BITS)
    if zero_point.requires_grad:
        zero_point.backward()
    assert x.grad is None


# Real zero points


@pytest.mark.parametrize(("signed", "parts"), [(True, "fused"), (False, "composed")])
def test_real_zero_point_quantizes_by_its_formula(signed, parts, built):
    class Round(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.round(x)

    rounding = None if parts == "fused" else Round()
    quant = built(RealZeroPointIntQuant(False, signed, float_to_int_impl=rounding))
    assert quant.fused is (parts == "fused")
    x = torch.randn(200, dtype=torch.float64)
    scale, low = 0.3, -8 if signed else 0
    for zero_point in (3.37, low - 0.62, 2.0):
        q = torch.clamp(torch.round(x / scale + zero_point), low, low + 15)
        y = quant(torch.tensor(scale).double(), torch.tensor(zero_point).double(), BITS.double(), x)
        torch.testing.assert_close(y, (q - zero_point) * scale, rtol=1e-6, atol=1e-6)


def test_real_zero_point_takes_the_activation_function_in_front(built):
    quant = built(RealZeroPointIntQuant(False, False))
    x = torch.linspace(-2, 2, 41)
    arguments = SCALE, torch.tensor(1.3), BITS
    assert torch.equal(
        quant(*arguments, x, Bounds(0.0, 1.0)), quant(*arguments, torch.clamp(x, 0, 1))
    )


# The phase


BATCHES = [torch.tensor([-lowest, 9.0]) for lowest in (4.0, 2.0, 1.0)]


def distances(zero_point, batches):
    return [zero_point(batch, SCALE, torch.tensor(8.0)).item() * 0.5 for batch in batches]


def test_runtime_zero_point_is_of_the_batch_in_the_phase_and_learned_after_it(built):
    made = built(learned(steps=2))
    assert distances(made, BATCHES) == [4.0, 2.0, 3.0]
    assert made.value.item() == -3.0


def test_runtime_zero_point_that_saw_no_data_is_that_of_zero(built):
    made = built(learned()).eval()
    assert distances(made, BATCHES) == [0.0, 0.0, 0.0]


def test_empty_batch_is_not_counted(built):
    made = built(learned())
    assert made(torch.empty(0), SCALE, BITS).item() == 0.0
    assert made.counter.item() == 0


def test_runtime_zero_point_has_the_state_of_a_learned_scale(built):
    made = built(learned())
    scale = ParameterFromRuntimeStatsScaling(2, AbsMinMax())
    assert sorted(made.state_dict()) == sorted(scale.state_dict())


def test_resuming_in_the_phase_equals_not_stopping(built):
    expected = distances(built(learned()), BATCHES)
    first, second = built(learned()), built(learned())
    seen = distances(first, BATCHES[:1])
    second.load_state_dict(first.state_dict())
    assert seen + distances(second, BATCHES[1:]) == expected


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))], ids=["copy", "pickle"]
)
def test_copy_goes_on_where_the_original_was(copied):
    made = learned()
    distances(made, BATCHES[:1])
    assert distances(copied(made), BATCHES[1:]) == [2.0, 3.0]


def test_finish_statistics_reaches_the_zero_point(built):
    made = built(learned(steps=5))
    assert collects_statistics(made)
    assert finish_statistics(nn.ModuleList([made])) == 1
    made.counter.fill_(5)
    assert finish_statistics(nn.ModuleList([made])) == 0
    assert not made.collecting


def test_compiled_gives_the_numbers_of_eager_over_the_end_of_the_phase():
    torch._dynamo.reset()
    eager, traced = learned(), learned()
    function = torch.compile(traced, fullgraph=True, backend="eager")
    for batch in [*BATCHES, *BATCHES]:
        assert torch.equal(function(batch, SCALE, BITS), eager(batch, SCALE, BITS))
    torch._dynamo.reset()


def test_what_reads_the_input_says_so():
    assert not reads_input(ZeroZeroPoint())
    assert not reads_input(fixed())
    assert not reads_input(at_build())
    assert reads_input(from_parameter())
    assert reads_input(dynamic())
    made = learned(steps=1)
    assert reads_input(made)
    distances(made, BATCHES[:1])
    assert not reads_input(made)
    assert not reads_input(learned().eval())
