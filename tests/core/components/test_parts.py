"""Small parts: constants, views, integer ranges, delay."""

import pytest
import torch

from qat.components import (
    DelayWrapper,
    IntScaling,
    OverBatchOverTensorView,
    OverOutputChannelView,
    OverTensorView,
    PowerOfTwoIntScaling,
    StatelessBuffer,
)


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
