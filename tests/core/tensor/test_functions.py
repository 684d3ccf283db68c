"""Functions that keep the grid where they can."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from qat.tensor import QuantTensor

KEEPING = {
    "relu": F.relu,
    "relu_method": lambda x: x.relu(),
    "relu_module": nn.ReLU(),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "max_pool2d_padded": lambda x: F.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True),
    "max_pool2d_torch": lambda x: torch.max_pool2d(x, 2),
    "max_pool2d_module": nn.MaxPool2d(2),
    "max_pool1d": lambda x: F.max_pool1d(x[:, :, 0], 2),
    "max_pool3d": lambda x: F.max_pool3d(x[:, :1], (1, 2, 2)),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1)),
    "pad_channels": lambda x: F.pad(x, (0, 0, 0, 0, 2, 2)),
    "pad_crop": lambda x: F.pad(x, (-1, 1)),
    "pad_zero_value": lambda x: F.pad(x, (1, 1), value=0.0),
    "pad_replicate": lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"),
    "pad_reflect": lambda x: F.pad(x, (1, 1, 1, 1), "reflect"),
    "pad_module": nn.ZeroPad2d(1),
    "shortcut": lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1), "constant", 0),
    "dropout_evaluating": nn.Dropout(0.5).eval(),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "nearest_exact": lambda x: F.interpolate(x, size=(3, 5), mode="nearest-exact"),
    "upsample_module": nn.Upsample(scale_factor=2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "avg_pool2d_whole": lambda x: F.avg_pool2d(x, x.size()[3]),
    "avg_pool2d_strided": lambda x: F.avg_pool2d(x, (3, 2), stride=1),
    "avg_pool2d_padded": lambda x: F.avg_pool2d(x, 3, 1, 1),
    "avg_pool2d_divisor": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    "avg_pool2d_module": nn.AvgPool2d(2),
    "avg_pool1d": lambda x: F.avg_pool1d(x[:, :, 0], 2, 1),
    "adaptive_avg_pool": nn.AdaptiveAvgPool2d(1),
    "adaptive_avg_pool_overlapping": lambda x: F.adaptive_avg_pool2d(x, (3, None)),
    "adaptive_avg_pool_repeating": lambda x: F.adaptive_avg_pool2d(x[..., :1], (4, 3)),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x[:, :, 0], 2),
    "adaptive_avg_pool3d": lambda x: F.adaptive_avg_pool3d(x[:, :1], 1),
    "adaptive_max_pool1d": lambda x: F.adaptive_max_pool1d(x[:, :, 0], 3),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 3),
    "adaptive_max_pool3d": lambda x: F.adaptive_max_pool3d(x[:, :1], (1, 2, 3)),
    "cat": lambda x: torch.cat([x, x], 1),
    "cat_batch": lambda x: torch.cat((x, x[:1])),
    "cat_last": lambda x: torch.cat([x, x], dim=-1),
    "cat_axis": lambda x: torch.cat([x, x], axis=2),
    "stack": lambda x: torch.stack([x, x], 1),
}
PLAIN = {
    "sin": torch.sin,
    "sin_method": lambda x: x.sin(),
    "mean": lambda x: x.mean(dim=(2, 3)),
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: F.softmax(x, 1),
    "clamp": lambda x: x.clamp(0, 1),
    "pad_one": lambda x: F.pad(x, (1, 1), value=1.0),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "adaptive_avg_pool_uneven": nn.AdaptiveAvgPool2d(5),
    "avg_pool2d_uneven": lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    "avg_pool2d_ceil": lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
    "conv": lambda x: F.conv2d(x, torch.ones(2, 4, 1, 1, dtype=x.dtype)),
    "linear": lambda x: F.linear(x, torch.ones(3, 4, dtype=x.dtype)),
    "compare": lambda x: x >= 0,
    "cat_with_plain": lambda x: torch.cat([x, torch.zeros(1, 4, 4, 4, dtype=x.dtype)]),
}


@pytest.mark.parametrize("name", KEEPING)
def test_the_grid_survives(name, grids, assert_on_grid):
    for grid in grids.values():
        x = grid.make()

        assert_on_grid(KEEPING[name](x), KEEPING[name](x.value))


@pytest.mark.parametrize("name", KEEPING)
def test_an_empty_batch_passes(name, moved_grids):
    for grid in moved_grids.values():
        x = grid.make()[:0]
        try:
            expected = KEEPING[name](x.value)
        except RuntimeError:
            pytest.skip("torch refuses an empty batch here")

        assert KEEPING[name](x).shape == expected.shape


@pytest.mark.parametrize("name", PLAIN)
def test_every_other_function_gives_the_plain_result_of_the_value(name, moved_grids):
    for grid in moved_grids.values():
        x = grid.make()

        result = PLAIN[name](x)

        assert type(result) is torch.Tensor
        assert torch.equal(result, PLAIN[name](x.value))


@pytest.mark.parametrize("dropout", [F.dropout, F.dropout1d, F.dropout2d, F.dropout3d])
def test_dropout_scales_what_stays(dropout, grid, assert_on_grid):
    x = grid.make()
    if dropout is F.dropout1d:
        x = x[:, :, 0]

    torch.manual_seed(0)
    dropped = dropout(x, 0.5, True)

    torch.manual_seed(0)
    assert_on_grid(dropped, dropout(x.value, 0.5, True))
    assert torch.equal(dropped.scale, x.scale * 2)


def test_dropping_everything_gives_a_plain_tensor_of_zeros(grids):
    dropped = F.dropout(grids["int8_shifted"].make(), 1.0, True)

    assert type(dropped) is torch.Tensor
    assert dropped.count_nonzero() == 0


def test_the_zeros_of_padding_make_a_binary_grid_ternary():
    x = QuantTensor(torch.tensor([[0.5, -0.5]]), 0.5, 0.0, 1.0, True)

    padded = F.pad(x, (1, 0))

    assert padded.int().tolist() == [[0, 1, -1]]
    assert padded.bit_width == 2
    assert x.bit_width == 1


@pytest.mark.parametrize(
    "signed, zero_point", [(True, 200.0), (True, -200.0), (False, -7.0), (False, 300.0)]
)
def test_a_grid_without_zero_is_widened_to_hold_it(signed, zero_point, assert_on_grid):
    q = torch.tensor([[3.0, 100.0]])
    x = QuantTensor((q - zero_point) * 0.5, 0.5, zero_point, 8.0, signed)

    assert_on_grid(F.pad(x, (1, 1)), F.pad(x.value, (1, 1)))
    assert_on_grid(F.relu(x), F.relu(x.value))


def test_padding_keeps_the_gradient_of_a_learned_bit_width():
    bit_width = torch.tensor(4.0, requires_grad=True)
    x = QuantTensor(torch.zeros(1, 2), 0.5, 0.0, bit_width, True)

    F.pad(x, (1, 1)).bit_width.backward()

    assert bit_width.grad == 1.0


def test_reflecting_along_a_dimension_with_several_grids_gives_a_plain_tensor():
    scale = torch.tensor([0.1, 0.2, 0.4])
    x = QuantTensor(scale * torch.ones(1, 2, 3), scale, 0.0, 8.0, True)

    assert type(F.pad(x, (1, 1), "reflect")) is torch.Tensor
    assert type(F.max_pool1d(x, 2)) is torch.Tensor
    assert type(F.interpolate(x, scale_factor=2)) is torch.Tensor


def test_relu_in_place_changes_the_tensor_it_is_given(grid, assert_on_grid):
    x = grid.make()
    expected = F.relu(x.value)

    result = nn.ReLU(inplace=True)(x)

    assert result is x
    assert_on_grid(x, expected)


def test_writing_in_place_forgets_the_grid():
    for write in (
        lambda x: x.add_(1),
        lambda x: F.relu6(x, inplace=True),
        lambda x: x.__setitem__(0, 7.0),
        lambda x: torch.sigmoid_(x),
    ):
        x = QuantTensor(torch.tensor([0.5, 1.0]), 0.5, 0.0, 8.0, True)

        write(x)

        assert not x.is_valid
        assert x.missing == ["scale", "zero_point", "bit_width", "signed"]


def test_max_pool_gives_plain_indices_when_asked(grids):
    x = grids["int8_channels"].make()

    pooled, indices = F.max_pool2d(x, 2, return_indices=True)

    expected = F.max_pool2d(x.value, 2, return_indices=True)
    assert pooled.is_valid
    assert torch.equal(pooled.value, expected[0])
    assert torch.equal(indices, expected[1])


def test_average_pools_sum_the_integers_of_their_windows():
    # torch has no avg_pool3d of half types on a CPU
    x = QuantTensor(torch.arange(16.0).reshape(1, 2, 2, 2, 2) * 0.5, 0.5, 0.0, 4.0, False)
    for pooled in (F.avg_pool3d(x, 2), F.adaptive_avg_pool3d(x, 1), F.avg_pool3d(x, (2, 2, 2))):
        assert pooled.int().flatten().tolist() == [28, 92]  # 0 + ... + 7, 8 + ... + 15
        assert pooled.scale == 0.5 / 8 and pooled.bit_width == 7


@pytest.mark.parametrize(
    "length, out, window",
    [(7, 1, 7), (6, 3, 2), (1, 7, 1), (4, 3, 2), (5, 5, 1), (5, 3, 0), (5, 4, 2), (2, 5, 0)],
)
def test_adaptive_windows_of_one_length_keep_the_grid(length, out, window):
    # window i goes from floor(i * length / out) to ceil((i + 1) * length / out)
    x = QuantTensor(torch.ones(1, 1, length) * 0.5, 0.5, 0.0, 8.0, True)

    pooled = F.adaptive_avg_pool1d(x, out)

    assert isinstance(pooled, QuantTensor) == (window > 0)
    if window > 0:
        assert pooled.int().tolist() == [[[window] * out]]


def test_an_average_is_the_sum_of_integers_on_a_finer_grid():
    q = torch.tensor([[[[127.0, 127.0], [127.0, -128.0]]]])
    x = QuantTensor((q - 2) * 0.5, 0.5, 2.0, 8.0, True)

    mean = F.avg_pool2d(x, 2)

    # 127 * 3 - 128 = 253; four bytes need two bits more
    assert mean.int().item() == 253
    assert (float(mean.zero_point), float(mean.scale), float(mean.bit_width)) == (8, 0.125, 10)


@pytest.mark.parametrize("k, bits", [(1, 8), (2, 10), (3, 12), (4, 12), (7, 14)])
def test_an_average_grows_by_the_logarithm_of_the_window(k, bits):
    x = QuantTensor(torch.zeros(1, 1, 7, 7), 0.5, 0.0, 8.0, False)

    # 2**8 - 1 times k * k fits into 8 + ceil(log2(k * k)) bits
    assert F.avg_pool2d(x, k).bit_width == bits


def test_cat_of_equal_scales_in_different_objects_keeps_the_grid():
    a = QuantTensor(torch.tensor([0.5]), 0.5, 0.0, 4.0, True)
    b = QuantTensor(torch.tensor([-60.0]), 0.5, 0.0, 8.0, True)

    joined = torch.cat([a, b])

    assert joined.int().tolist() == [1, -120]
    assert joined.bit_width == 8


def test_cat_of_different_scales_is_plain():
    a = QuantTensor(torch.tensor([0.5]), 0.5, 0.0, 4.0, True)

    joined = torch.cat([a, a.set(scale=torch.tensor(0.25))])

    assert type(joined) is torch.Tensor


def test_cat_of_different_zero_points_and_signs_counts_anew():
    a = QuantTensor(torch.tensor([-64.0, 63.5]), 0.5, 0.0, 8.0, True)
    b = QuantTensor(torch.tensor([-5.0, 122.5]), 0.5, 10.0, 8.0, False)

    joined = torch.cat([a, b])

    assert joined.is_valid
    assert joined.int().tolist() == [-128, 127, -10, 245]
    assert (joined.signed, float(joined.zero_point), float(joined.bit_width)) == (True, 0, 9)


@pytest.mark.parametrize("name", ["int8_channels", "uint8_channels_shifted"])
def test_cat_along_the_channels_of_per_channel_scales_joins_the_scales(name, grids, assert_on_grid):
    grid = grids[name]
    a, b = grid.make(seed=1), grid.make(seed=2)[:, 2:]

    joined = torch.cat([a, b], 1)

    assert_on_grid(joined, torch.cat([a.value, b.value], 1))
    assert joined.scale.shape == (1, 6, 1, 1)


def test_metadata_that_is_missing_gives_plain_results():
    x = QuantTensor(torch.zeros(1, 1, 4, 4), 0.5, 0.0, 8.0, None)

    for result in (F.relu(x), F.pad(x, (1, 1)), F.avg_pool2d(x, 2), torch.cat([x, x])):
        assert type(result) is torch.Tensor
