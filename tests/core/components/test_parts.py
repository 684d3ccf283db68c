"""Small parts: constants, bit widths, zero point, integer range, delay."""

import pytest
import torch

from qat.components import (
    BitWidthConst,
    DelayWrapper,
    IntScaling,
    PowerOfTwoIntScaling,
    StatelessBuffer,
    ZeroZeroPoint,
)


def test_stateless_buffer_stays_out_of_the_state_dict_and_follows_the_dtype(built):
    buffer = built(StatelessBuffer(torch.tensor(0.5)))
    assert list(buffer.state_dict()) == []
    assert buffer.double()().dtype == torch.float64
    assert not buffer().requires_grad


@pytest.mark.parametrize("bits", [1, 8, 32])
def test_bit_width_is_a_float_of_no_dimension(bits, built):
    result = built(BitWidthConst(bits))()
    assert result.shape == ()
    assert result.item() == float(bits)


@pytest.mark.parametrize("bits", [0, 33, 40, 2.5, -1, "four", None, True, float("nan")])
def test_bit_width_outside_1_to_32_is_refused(bits):
    with pytest.raises(ValueError, match=f"bit_width is {bits!r}; .* from 1 to 32"):
        BitWidthConst(bits)


def test_zero_point_is_zero(built):
    zero_point = built(ZeroZeroPoint())(torch.ones(3), torch.tensor(1.0), torch.tensor(8.0))
    assert zero_point.shape == ()
    assert zero_point.item() == 0.0


@pytest.mark.parametrize(
    ("signed", "narrow_range", "expected"),
    [(True, True, 127), (True, False, 128), (False, False, 255), (False, True, 254)],
)
def test_integer_range_is_the_largest_magnitude(signed, narrow_range, expected, built):
    assert built(IntScaling(signed, narrow_range))(torch.tensor(8.0)).item() == expected


@pytest.mark.parametrize(("signed", "expected"), [(True, 128), (False, 256)])
def test_power_of_two_integer_range_is_a_power_of_two(signed, expected, built):
    assert built(PowerOfTwoIntScaling(signed))(torch.tensor(8.0)).item() == expected


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
