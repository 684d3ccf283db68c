"""Groups of neighbours: each as its own quantizer would give it."""

import copy

import pytest
import torch

from qat import formats
from qat.components import (
    AbsMax,
    AbsMinMax,
    BitWidthConst,
    ConstScaling,
    FloatQuant,
    FloatScaling,
    GroupwiseQuant,
    IntQuant,
    IntScaling,
    NegativeMinOrZero,
    OverOutputChannelView,
    ParameterScaling,
    RescalingIntQuant,
    RuntimeDynamicStatsScaling,
    StatsFromParameterScaling,
    StatsFromParameterZeroPoint,
    ZeroZeroPoint,
)
from qat.components.views import from_groups, to_groups

SHAPES = [(3, 10), (1, 3), (2, 5, 3), (2, 6, 3, 2)]


def int_quant(scaling, bits=8, signed=True, zero_point=None):
    return RescalingIntQuant(
        IntQuant(False, signed),
        scaling,
        IntScaling(signed, False),
        ZeroZeroPoint() if zero_point is None else zero_point,
        BitWidthConst(bits),
    )


def of_rows(rows=-1, kind=RuntimeDynamicStatsScaling):
    return kind(AbsMax(1), OverOutputChannelView(), scaling_shape=(rows, 1))


def group_by_group(x, dim, size, quantize):
    """``quantize`` of each group of ``size`` along ``dim``, one after the other, padded with 0."""
    lines = x.movedim(dim, -1)
    y = torch.empty_like(lines)
    for index in torch.cartesian_prod(*(torch.arange(n) for n in lines.shape[:-1])).reshape(
        -1, lines.dim() - 1
    ):
        line = lines[tuple(index)]
        for start in range(0, len(line), size):
            y[(*index, slice(start, start + size))] = quantize(line[start : start + size])
    return y.movedim(-1, dim)


def int8(group):
    scale = (group.abs().max() / 128).clamp(min=torch.finfo(group.dtype).smallest_normal)
    return (group / scale).round().clamp(-128, 127) * scale


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("size", [1, 4, 32])
def test_each_group_is_quantized_by_itself(built, dim, size):
    quant = built(GroupwiseQuant(int_quant(of_rows()), dim, size).double())
    for shape in SHAPES:
        x = torch.randn(shape, dtype=torch.float64)
        y, scale, zero_point, bit_width = quant(x)
        torch.testing.assert_close(y, group_by_group(x, dim, size, int8))
        assert (zero_point, bit_width) == (0.0, 8.0)
        largest = group_by_group(x, dim, size, lambda group: group.abs().max())
        torch.testing.assert_close(scale.expand(shape), largest / 128)


def test_statistics_of_a_weight_take_the_same_way_as_those_of_a_tensor(built, dtype):
    x = torch.randn(4, 12).to(dtype)
    weight = int_quant(of_rows(12, StatsFromParameterScaling))
    found = built(GroupwiseQuant(weight, 1, 4).to(dtype))(x)
    expected = built(GroupwiseQuant(int_quant(of_rows()), 1, 4).to(dtype))(x)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_are_those_of_the_groups(built):
    x = torch.randn(3, 10, dtype=torch.float64)
    weights = torch.randn(3, 10, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    (weights * built(GroupwiseQuant(int_quant(of_rows()), 1, 4).double())(leaf)[0]).sum().backward()
    alone = built(int_quant(RuntimeDynamicStatsScaling(AbsMax())).double())
    other = x.clone().requires_grad_()
    for start in (0, 4, 8):
        for row in range(3):
            part = slice(start, start + 4)
            (weights[row, part] * alone(other[row, part])[0]).sum().backward()
    torch.testing.assert_close(leaf.grad, other.grad)


def test_a_learned_scale_has_an_entry_per_group(built):
    scaling = ParameterScaling(1.0, scaling_shape=(6, 1))
    quant = built(GroupwiseQuant(int_quant(scaling), 1, 4))
    x = torch.randn(2, 10)  # 3 groups a line
    y, scale, _, _ = quant(x)
    y.sum().backward()
    parameter = dict(quant.named_parameters())["group_quant.scaling_impl.value"]
    assert parameter.grad.shape == (6, 1)
    assert scale.shape == x.shape


def test_one_entry_per_group_is_every_group_size_th(built):
    x = torch.randn(2, 10)
    scale = built(GroupwiseQuant(int_quant(of_rows()), 1, 4))(x)[1]
    expected = [[x[i, j : j + 4].abs().max() / 128 for j in (0, 4, 8)] for i in range(2)]
    torch.testing.assert_close(scale[:, ::4], torch.tensor(expected))


def test_zero_points_are_those_of_the_groups(built):
    x = torch.randn(2, 8, dtype=torch.float64) + 1
    grid = IntQuant(False, False)
    view = OverOutputChannelView()
    zero_point = StatsFromParameterZeroPoint(grid, True, view, NegativeMinOrZero(1), (4, 1))
    scaling = StatsFromParameterScaling(AbsMinMax(1), OverOutputChannelView(), (4, 1))
    quant = built(GroupwiseQuant(int_quant(scaling, 8, False, zero_point), 1, 4).double())
    y, scale, zeros, _ = quant(x)

    def shifted(group):
        low, high = group.min().clamp(max=0), group.max().clamp(min=0)
        step = (high - low) / 255
        zero = (-low / step).round().clamp(0, 255)
        return ((group / step).round() + zero).clamp(0, 255).sub(zero) * step

    torch.testing.assert_close(y, group_by_group(x, 1, 4, shifted))
    assert zeros.shape == scale.shape == x.shape


@pytest.mark.parametrize("shape", [(0, 8), (3, 0), (1, 8)])
def test_nothing_and_batches_of_one_pass(built, shape):
    x = torch.randn(shape)
    y, scale, _, _ = built(GroupwiseQuant(int_quant(of_rows()), 1, 4))(x)
    assert y.shape == x.shape
    assert torch.broadcast_shapes(scale.shape, shape) == torch.Size(shape)


def test_constant_scales_stay_one_number(built):
    quant = built(GroupwiseQuant(int_quant(ConstScaling(2.0)), 1, 4))
    assert quant(torch.randn(3, 6))[1].shape == ()


def test_memory_formats_do_not_matter(built):
    x = torch.randn(2, 8, 3, 3)
    quant = built(GroupwiseQuant(int_quant(of_rows()), 1, 4))
    expected = quant(x)[0]
    assert torch.equal(quant(x.to(memory_format=torch.channels_last))[0], expected)
    assert torch.equal(quant(x.transpose(2, 3))[0], expected.transpose(2, 3))


def test_minifloats_come_in_groups_too(built):
    x = torch.randn(2, 10)
    inner = FloatQuant(formats.E2M1, of_rows(), FloatScaling(formats.E2M1))
    y, scale, _, bit_width = built(GroupwiseQuant(inner, 1, 4))(x)
    steps = y / scale
    numbers = torch.tensor(formats.E2M1.values())
    assert float((steps.unsqueeze(-1) - numbers).abs().min(-1)[0].max()) < 1e-5
    assert bit_width == 4.0


def test_a_copy_gives_the_same(built):
    quant = built(GroupwiseQuant(int_quant(of_rows()), -1, 4))
    x = torch.randn(3, 6)
    assert torch.equal(copy.deepcopy(quant)(x)[0], quant(x)[0])


@pytest.mark.parametrize("shape, dim, size", [((2, 8), 1, 4), ((3, 10, 2), 1, 4), ((5,), 0, 2)])
def test_groups_are_taken_apart_and_put_together(shape, dim, size):
    x = torch.randn(shape)
    rows = to_groups(x, dim, size)
    assert rows.shape[1] == size
    assert torch.equal(from_groups(rows, x, dim), x)


def test_groups_of_nothing_are_refused():
    with pytest.raises(ValueError, match="group_size is 0; it must be at least 1"):
        GroupwiseQuant(int_quant(of_rows()), 1, 0)
