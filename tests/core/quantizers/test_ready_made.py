"""Every ready-made quantizer against the formula that its docstring states, in float64."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from qat import config
from qat.quantizers import ready_made, ready_made_names
from qat.quantizers.ready_made import ready_made as ready_made_function


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


def test_every_ready_made_quantizer_has_its_formula_here():
    assert ready_made_names() == sorted(EXPECTED)


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


@pytest.mark.parametrize("name", EXPECTED)
def test_every_backend_gives_the_bits_of_the_reference(name, backend, quantized, monkeypatch):
    def measured():
        result = quantized(name, torch.float32)
        x = result.x.detach().clone().requires_grad_()
        scale = (torch.tensor(0.01),) if name in ("Int8Bias", "Int16Bias", "Int32Bias") else ()
        y = result.quant(x, *scale)[0]
        parameters = list(result.quant.parameters())
        weights = torch.linspace(-1, 1, y.numel()).reshape(y.shape)
        gradients = torch.autograd.grad((weights * y).sum(), [x, *parameters])
        return [*result.outputs, y, gradients[0]], list(gradients[1:])

    exact, summed = measured()
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", False)
    exact_reference, summed_reference = measured()
    assert all(map(torch.equal, exact, exact_reference))
    torch.testing.assert_close(summed, summed_reference)  # sums, each backend in its own order


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_types_give_half_types_close_to_float(name, dtype, quantized):
    result = quantized(name, dtype)
    y, scale, _, _ = (item.detach() for item in result.outputs)
    assert {item.dtype for item in result.outputs} == {dtype}
    assert bool(y.isfinite().all())
    # a value may land one step away, where the half type rounds x / scale differently
    step = float(scale.max())
    y64 = quantized(name, torch.float64).outputs[0].detach()
    tolerance = 0.02 * float(y64.abs().max()) + 1.01 * step
    assert float((y.double() - y64).abs().max()) <= tolerance


@pytest.mark.parametrize("name", [name for name in EXPECTED if "Weight" in name])
def test_all_zero_weight_quantizes_to_finite_numbers(name, backend):
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.weight)
    y, scale, _, _ = ready_made(name).let(module=layer).tensor_quant(layer.weight)
    assert bool((scale > 0).all())
    # sign(0) = +1: a binary weight has no zero
    assert set(y.reshape(-1).tolist()) == ({scale.item()} if "Binary" in name else {0.0})


def test_name_that_does_not_exist_names_the_nearest():
    with pytest.raises(ValueError, match="no ready-made quantizer .* did you mean 'Int8Bias'"):
        ready_made_function("int8bias")


def test_name_like_no_other_lists_them_all():
    with pytest.raises(
        ValueError, match=r"'q'\. All: Int16Bias, .*, Uint8ActPerTensorFloatMaxInit"
    ):
        ready_made("q")


@pytest.mark.parametrize("name", EXPECTED)
def test_every_quantizer_says_in_a_line_what_it_is(name):
    assert " bit" in ready_made(name).__doc__
