"""Weight quantizers whose scale is found by half-quadratic search, against plain rounding."""

import pytest
import torch

PER_ROW = {"Int8WeightPerTensorFloatHQO": False, "Int8WeightPerChannelFloatHQO": True}


def on_grid(row, scale, levels):
    return torch.clamp(torch.round(row / scale), -levels, levels) * scale


@pytest.mark.parametrize("bits", [8, 4, 3])
@pytest.mark.parametrize("name", PER_ROW)
def test_value_is_on_the_grid_of_a_scale_no_worse_than_the_maximum(name, bits, backend, quantized):
    result = quantized(name, bit_width=bits)
    x, levels = result.x.detach(), 2 ** (bits - 1) - 1
    y, scale, zero_point, bit_width = (item.detach() for item in result.outputs)
    assert scale.shape == ((4, 1) if PER_ROW[name] else ())
    assert (zero_point.item(), bit_width.item()) == (0.0, float(bits))
    rows = x if PER_ROW[name] else x.reshape(1, -1)
    for row, made, s in zip(rows, y.reshape(rows.shape), scale.flatten(), strict=True):
        torch.testing.assert_close(made, on_grid(row, s, levels))
        at_maximum = on_grid(row, row.abs().max() / levels, levels)
        assert (made - row).abs().sum() <= (at_maximum - row).abs().sum() * (1 + 1e-9)


@pytest.mark.parametrize("name", PER_ROW)
def test_scale_is_learned(name, backend, quantized):
    result = quantized(name)
    result.quant(result.x)[0].square().sum().backward()
    assert bool((result.quant.scaling_impl.value.grad != 0).any())
