"""Small parts: constants, views, restrictions of scales, integer ranges, delay."""

import pytest
import torch

from qat.components import (
    CeilSte,
    DelayWrapper,
    FloatRestrictValue,
    IntRestrictValue,
    IntScaling,
    LogFloatRestrictValue,
    OverBatchOverTensorView,
    OverOutputChannelView,
    OverTensorView,
    ParameterScaling,
    PowerOfTwoIntScaling,
    PowerOfTwoRestrictValue,
    SignedFloatRestrictValue,
    StatelessBuffer,
)
from qat.components.restrict import RESTRICT


def test_stateless_buffer_stays_out_of_the_state_dict_and_follows_the_dtype(built):
    buffer = built(StatelessBuffer(torch.tensor(0.5)))
    assert list(buffer.state_dict()) == []
    assert buffer.double()().dtype == torch.float64
    assert not buffer().requires_grad


# Views


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


# Restrictions, both ways

SCALES = torch.tensor([0.2, 0.25, 1.0, 3.0, 48.0])
RESTRICTIONS = list(RESTRICT.values())


@pytest.mark.parametrize(
    "kind", [FloatRestrictValue, SignedFloatRestrictValue, LogFloatRestrictValue]
)
def test_float_restrictions_bring_back_what_was_stored(kind, built):
    restrict = kind()
    stored = built(restrict.preprocess())(SCALES)
    torch.testing.assert_close(built(restrict)(stored), SCALES)


def test_power_of_two_rounds_the_exponent(built):
    restrict = PowerOfTwoRestrictValue()
    stored = built(restrict.preprocess())(SCALES)
    # log2: -2.32, -2, 0, 1.58, 5.58
    assert built(restrict)(stored).tolist() == [0.25, 0.25, 1.0, 4.0, 64.0]


def test_power_of_two_with_ceil_never_makes_a_scale_smaller(built):
    scales = torch.logspace(-3, 3, 50)
    restrict = PowerOfTwoRestrictValue(CeilSte())
    restricted = built(restrict)(built(restrict.preprocess())(scales))
    assert bool((restricted >= scales).all())
    assert bool((restricted < 2 * scales).all())
    assert bool((torch.frexp(restricted)[0] == 0.5).all())  # a power of two has mantissa 0.5


def test_whole_number_is_the_nearest_or_as_the_rounding_says(built, gradient):
    x = torch.tensor([0.2, 1.5, 2.5, -3.7])
    assert built(IntRestrictValue())(x).tolist() == [0.0, 2.0, 2.0, -4.0]
    assert built(IntRestrictValue(CeilSte()))(x).tolist() == [1.0, 2.0, 3.0, -3.0]
    assert gradient(built(IntRestrictValue()), x).tolist() == [1.0] * 4


def test_power_of_two_gradient_is_straight_through_the_rounding(built, gradient):
    restrict = built(PowerOfTwoRestrictValue())
    grad = gradient(restrict, torch.tensor([0.4, 1.7]))
    # d 2**round(x) / dx = ln 2 * 2**round(x)
    torch.testing.assert_close(grad, torch.tensor([0.693147, 4 * 0.693147]))


@pytest.mark.parametrize("kind", RESTRICTIONS)
def test_zero_is_stored_as_a_finite_number(kind, built, dtypes):
    preprocess = built(kind().preprocess())
    for dtype in dtypes:
        stored = preprocess(torch.zeros(2, dtype=dtype))
        assert bool(stored.isfinite().all())
        assert stored.dtype == dtype


@pytest.mark.parametrize("kind", RESTRICTIONS)
def test_learned_scale_starts_where_it_is_told(kind, built):
    start = 4.0 if kind is IntRestrictValue else 0.25
    scaling = built(ParameterScaling(start, restrict_scaling_impl=kind()))
    assert scaling(torch.zeros(1)).item() == start


# Integer ranges


@pytest.mark.parametrize(
    ("int_scaling", "expected"),
    [
        (IntScaling(True, True), 127),  # the largest magnitude of the grid
        (IntScaling(True, False), 128),
        (IntScaling(False, False), 255),
        (IntScaling(False, True), 254),
        (PowerOfTwoIntScaling(True), 128),
        (PowerOfTwoIntScaling(False), 256),
    ],
)
def test_integer_range_is_the_largest_magnitude_or_a_power_of_two(int_scaling, expected, built):
    assert built(int_scaling)(torch.tensor(8.0)).item() == expected


# Delay

X, Y = torch.tensor([0.0]), torch.tensor([1.0])


@pytest.mark.parametrize("steps", [0, -3, None])
def test_no_delay_quantizes_at_once_and_stores_nothing(steps):
    delay = DelayWrapper(steps)
    assert delay(X, Y).item() == 1.0
    assert list(delay.state_dict()) == []


def test_delay_waits_for_its_training_calls(built):
    delay = built(DelayWrapper(2))
    assert [delay(X, Y).item() for _ in range(4)] == [0.0, 0.0, 1.0, 1.0]


def test_evaluation_does_not_count_and_gives_what_training_would_give_next(built):
    delay = built(DelayWrapper(1)).eval()
    assert [delay(X, Y).item() for _ in range(3)] == [0.0, 0.0, 0.0]
    delay.train()
    assert [delay(X, Y).item() for _ in range(2)] == [0.0, 1.0]
    delay.eval()
    assert delay(X, Y).item() == 1.0


def test_delay_resumes_from_its_state_dict(built):
    delay, resumed = built(DelayWrapper(3)), built(DelayWrapper(3))
    delay(X, Y)
    delay(X, Y)
    resumed.load_state_dict(delay.state_dict())
    assert [resumed(X, Y).item() for _ in range(2)] == [0.0, 1.0]


def test_delay_passes_the_gradient_of_what_it_gives(built):
    delay = built(DelayWrapper(1))
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    delay(x, y).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([1.0, 1.0], [0.0, 0.0])
