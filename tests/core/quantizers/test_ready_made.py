"""Every ready-made quantizer against the formula that its docstring states, in float64."""

from dataclasses import dataclass

import pytest
import torch

from qat.quantizers import ready_made
from qat.quantizers.registry import ready_made as ready_made_function


@dataclass(frozen=True)
class Grid:
    """Bits, integers from ``low`` to ``high``, and how many steps the threshold is wide."""

    bits: int
    low: int
    high: int
    steps: int
    threshold: str
    per_channel: bool = False


NARROW, SIGNED, UNSIGNED = (8, -127, 127, 127), (8, -128, 127, 128), (8, 0, 255, 255)
EXPECTED = {
    "Int8WeightPerTensorFloat": Grid(*NARROW, "max"),
    "Int8WeightPerChannelFloat": Grid(*NARROW, "max", per_channel=True),
    "Int8WeightPerTensorFloatMSE": Grid(*NARROW, "mse"),
    "Int8WeightPerChannelFloatMSE": Grid(*NARROW, "mse", per_channel=True),
    "Int8WeightPerTensorFixedPoint": Grid(8, -127, 127, 128, "power of two"),
    "SignedBinaryWeightPerTensorConst": Grid(1, -1, 1, 1, "0.1"),
    "SignedTernaryWeightPerTensorConst": Grid(2, -1, 1, 1, "0.1"),
    "Int8ActPerTensorFloat": Grid(*SIGNED, "max"),  # of 50 numbers the 99.999th percentile
    "Uint8ActPerTensorFloat": Grid(*UNSIGNED, "max"),
    "Int8ActPerTensorFloatMSE": Grid(*SIGNED, "mse"),
    "Uint8ActPerTensorFloatMSE": Grid(*UNSIGNED, "mse"),
    "Int8ActPerTensorFixedPoint": Grid(8, -128, 127, 128, "power of two"),
    "Uint8ActPerTensorFixedPoint": Grid(8, 0, 255, 256, "power of two"),
    "Int8ActPerTensorFloatMinMaxInit": Grid(*SIGNED, "1.5"),
    "Uint8ActPerTensorFloatMaxInit": Grid(*UNSIGNED, "1.5"),
    "SignedBinaryActPerTensorConst": Grid(1, -1, 1, 1, "1.0"),
    "SignedTernaryActPerTensorConst": Grid(2, -1, 1, 1, "1.0"),
    "Int8Bias": Grid(8, -128, 127, 1, "0.01"),
    "Int16Bias": Grid(16, -(2**15), 2**15 - 1, 1, "0.01"),
    "Int24Bias": Grid(24, -(2**23), 2**23 - 1, 1, "0.01"),
    "IntBias": Grid(32, -(2**31), 2**31 - 1, 1, "0.01"),
    "Int32Bias": Grid(32, -(2**31), 2**31 - 1, 1, "0.01"),
    "Int8BiasPerTensorFloatInternalScaling": Grid(*SIGNED, "max"),
}


def on_grid(x, scale, grid):
    if grid.bits == 1:
        return torch.where(x < 0, -scale, scale)
    return torch.clamp(torch.round(x / scale), grid.low, grid.high) * scale


def threshold_of(rows, grid):
    largest = rows.abs().amax(dim=1, keepdim=True)
    if grid.threshold == "max":
        return largest
    if grid.threshold == "power of two":
        return 2 ** torch.ceil(torch.log2(largest))
    if grid.threshold == "mse":
        candidates = [largest * i / 100 for i in range(1, 101)]
        errors = [((rows - on_grid(rows, c / grid.steps, grid)) ** 2).sum(1) for c in candidates]
        best = torch.stack(errors).argmin(dim=0)
        return torch.stack([candidates[i][row] for row, i in enumerate(best)])
    return torch.tensor([[float(grid.threshold)]], dtype=torch.float64)


@pytest.mark.parametrize("name", EXPECTED)
def test_value_scale_zero_point_and_bit_width_are_those_of_the_formula(name, backend, quantized):
    grid, result = EXPECTED[name], quantized(name)
    x = result.x.detach()
    y, scale, zero_point, bit_width = result.outputs

    rows = x if grid.per_channel else x.reshape(1, -1)
    expected_scale = threshold_of(rows, grid) / grid.steps
    expected = on_grid(rows, expected_scale, grid).reshape(x.shape)

    torch.testing.assert_close(scale.detach().reshape(expected_scale.shape), expected_scale)
    torch.testing.assert_close(y.detach(), expected)
    assert scale.shape == ((4, 1) if grid.per_channel else ())
    assert (zero_point.item(), bit_width.item()) == (0.0, float(grid.bits))


def test_name_that_does_not_exist_names_the_nearest():
    with pytest.raises(ValueError, match="no ready-made quantizer .* did you mean 'Int8Bias'"):
        ready_made_function("int8bias")


def test_name_like_no_other_lists_them_all():
    with pytest.raises(
        ValueError, match=r"'q'\. All: .*, Int16Bias, .*, Uint8ActPerTensorFloatMaxInit"
    ):
        ready_made("q")
