"""Functions that move elements keep the grid, per tensor and per channel."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from qat.tensor import QuantTensor

ONE = {
    "flatten": lambda x: torch.flatten(x, 1),
    "flatten_method": lambda x: x.flatten(1, 2),
    "flatten_keywords": lambda x: torch.flatten(input=x, start_dim=2),
    "reshape": lambda x: torch.reshape(x, (2, -1)),
    "reshape_method": lambda x: x.reshape(-1),
    "view": lambda x: x.view(x.size(0), -1),
    "view_as": lambda x: x.view_as(torch.empty(4, 2, 4, 4)),
    "permute": lambda x: x.permute(0, 2, 3, 1),
    "permute_function": lambda x: torch.permute(x, (3, 2, 1, 0)),
    "transpose": lambda x: x.transpose(1, 2),
    "transpose_then_reshape": lambda x: x.transpose(1, 2).reshape(8, 16),
    "movedim": lambda x: torch.movedim(x, 1, -1),
    "T": lambda x: x[0, 0].T,
    "mT": lambda x: x.mT,
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "unsqueeze": lambda x: x.unsqueeze(0),
    "expand": lambda x: x[:1].expand(3, 4, 4, 4),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "index": lambda x: x[1],
    "index_channel": lambda x: x[:, 2],
    "slice": lambda x: x[:, 1:3, ::2, ::2],
    "ellipsis": lambda x: x[..., -1],
    "new_axis": lambda x: x[:, None],
    "list_index": lambda x: x[:, [3, 0]],
    "mask": lambda x: x[x > 0],
    "element": lambda x: x[0, 1, 2, 3],
    "empty_batch": lambda x: x[:0],
    "empty_batch_flattened": lambda x: x[:0].flatten(1),
    "narrow": lambda x: x.narrow(1, 1, 2),
    "select": lambda x: x.select(1, 1),
    "index_select": lambda x: torch.index_select(x, 1, torch.tensor([2, 2])),
    "flip": lambda x: torch.flip(x, [1]),
    "roll": lambda x: x.roll(1, 1),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "channel_shuffle": lambda x: F.channel_shuffle(x, 2),
    "contiguous": lambda x: x.transpose(1, 3).contiguous(),
    "clone": lambda x: x.clone(),
    "detach": lambda x: x.detach(),
    "to_same": lambda x: x.to("cpu"),
    "module": lambda x: torch.nn.Flatten()(x),
}
SEVERAL = {
    "chunk": lambda x: x.chunk(2, 1),
    "split": lambda x: torch.split(x, [1, 3], 1),
    "split_method": lambda x: x.split(2),
    "unbind": lambda x: x.unbind(1),
    "iteration": lambda x: tuple(x),
    "tensor_split": lambda x: torch.tensor_split(x, 3, 2),
}


@pytest.mark.parametrize("name", ONE)
def test_moving_elements_keeps_the_grid(name, moved_grids, assert_on_grid):
    for grid in moved_grids.values():
        x = grid.make()

        result = ONE[name](x)

        assert_on_grid(result, ONE[name](x.value))


@pytest.mark.parametrize("name", SEVERAL)
def test_splitting_keeps_the_grid_of_each_part(name, moved_grids, assert_on_grid):
    for grid in moved_grids.values():
        x = grid.make()

        parts = SEVERAL[name](x)

        expected = SEVERAL[name](x.value)
        assert len(parts) == len(expected)
        for part, plain in zip(parts, expected, strict=True):
            assert_on_grid(part, plain)


def test_a_scalar_scale_stays_the_same_object(grids):
    x = grids["int8"].make()

    assert x[:, 1:].flatten(1).scale is x.scale


def test_a_per_channel_scale_stays_small_when_channels_are_sliced_and_moved():
    scale = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1)
    x = QuantTensor(torch.zeros(5, 3, 7, 7), scale, 0.0, 8.0, True)

    moved = x[:, 1:].permute(0, 2, 3, 1)

    assert moved.scale.shape == (1, 1, 1, 2)
    assert moved.scale.flatten().tolist() == [2.0, 4.0]


def test_a_scale_of_one_entry_and_four_dimensions_does_not_add_dimensions_to_the_value():
    x = QuantTensor(torch.zeros(2, 3, 4, 4), torch.ones(1, 1, 1, 1), 0.0, 8.0, True)

    flat = x.flatten(1)

    assert (flat.value * flat.scale).shape == (2, 48)


def test_metadata_that_is_missing_stays_missing():
    x = QuantTensor(torch.zeros(2, 3), scale=1.0)

    moved = x.reshape(3, 2)

    assert moved.missing == ["zero_point", "bit_width", "signed"]
    assert moved.scale is x.scale


def test_moving_a_plain_tensor_with_a_quantized_argument_stays_plain(grids):
    x = grids["int8"].make()

    assert type(torch.zeros(4, 2, 16).reshape_as(x)) is torch.Tensor


def test_viewing_the_bytes_as_another_type_gives_a_plain_tensor():
    x = QuantTensor(torch.zeros(2), 1.0, 0.0, 8.0, True)

    assert torch.equal(x.view(torch.int32), torch.zeros(2, dtype=torch.int32))


def test_gradient_flows_through_moves_to_the_value():
    value = torch.zeros(2, 3, requires_grad=True)
    x = QuantTensor(value, 1.0, 0.0, 8.0, True)

    x.t()[1:].sum().backward()

    assert value.grad.tolist() == [[0, 1, 1], [0, 1, 1]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_changing_the_floating_type_converts_value_and_metadata(dtype):
    x = QuantTensor(torch.tensor([-1.0, 0.5]), 0.5, 0.0, 4.0, True)

    cast = x.to(dtype)

    for field in (cast.value, cast.scale, cast.zero_point, cast.bit_width):
        assert field.dtype == dtype
    assert cast.int().tolist() == [-2, 1]


def test_named_casts_equal_to():
    x = QuantTensor(torch.tensor([-1.0, 0.5]), 0.5, 0.0, 4.0, True)

    assert x.half().dtype == torch.float16
    assert x.bfloat16().scale.dtype == torch.bfloat16
    assert x.half().float().dtype == torch.float32
    assert x.double().bit_width.dtype == torch.float64
    assert x.cpu().is_valid


def test_casting_to_integers_gives_a_plain_tensor():
    x = QuantTensor(torch.tensor([-1.0, 2.0]), 0.5, 0.0, 4.0, True)

    assert torch.equal(x.long(), torch.tensor([-1, 2]))
    assert torch.equal(x.to(torch.int8), torch.tensor([-1, 2], dtype=torch.int8))
