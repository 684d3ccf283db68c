"""Activation quantizers with the scale of the batch at hand."""

import itertools

import pytest
import torch

from qat.nn import QuantIdentity, QuantLinear, QuantReLU
from qat.ptq import calibration_mode
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8ActPerTensorFloatBatchQuant1d,
    Int8ActPerTensorFloatBatchQuant2d,
    Int8DynamicActPerRowFloat,
    Int8DynamicActPerTensorFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    Uint8ActPerTensorFloatBatchQuant1d,
    Uint8ActPerTensorFloatBatchQuant2d,
    Uint8DynamicActPerTensorFloat,
)

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DYNAMIC = [Int8DynamicActPerTensorFloat, Uint8DynamicActPerTensorFloat, Int8DynamicActPerRowFloat]
IMAGES = [Int8ActPerTensorFloatBatchQuant2d, Uint8ActPerTensorFloatBatchQuant2d]
ROWS = [Int8ActPerTensorFloatBatchQuant1d, Uint8ActPerTensorFloatBatchQuant1d]


def name_of(item):
    return item.__name__ if isinstance(item, type) else None


def is_signed(quantizer):
    return quantizer.__name__.startswith("Int8")


def grid(quantizer):
    """Lowest and highest integer, and the integer that the threshold is divided by."""
    return (-128, 127, 128) if is_signed(quantizer) else (0, 255, 255)


def layer_with(quantizer, **kwargs):
    return QuantIdentity(act_quant=quantizer, return_quant_tensor=True, **kwargs)


def expected(x, threshold, quantizer):
    low, high, steps = grid(quantizer)
    scale = threshold / steps
    return torch.clamp(torch.round(x / scale), low, high) * scale, scale


@pytest.mark.parametrize("quantizer", DYNAMIC, ids=name_of)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_scale_is_that_of_the_tensor_at_hand(quantizer, training, backend):
    layer = layer_with(quantizer).train(training)
    for factor in (1.0, 30.0):
        x = factor * torch.randn(4, 3, 10, dtype=torch.float64)
        x = x if is_signed(quantizer) else x.abs()
        by_row = quantizer is Int8DynamicActPerRowFloat
        largest = x.abs().amax(-1, keepdim=True) if by_row else x.abs().max()
        value, scale = expected(x, largest, quantizer)
        made = layer(x)
        torch.testing.assert_close(made.scale, scale)
        torch.testing.assert_close(made.value, value)
        assert made.is_valid
    assert not layer.state_dict()


@pytest.mark.parametrize("quantizer", DYNAMIC, ids=name_of)
def test_gradient_is_that_of_the_formula_through_the_statistic(quantizer):
    x = torch.tensor([[0.3, -2.0, 0.71], [1.4, 0.02, -0.9]], dtype=torch.float64)
    x = (x if is_signed(quantizer) else x.abs()).requires_grad_()
    weights = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.float64)
    (weights * layer_with(quantizer)(x).value).sum().backward()

    low, high, steps = grid(quantizer)
    by_row = quantizer is Int8DynamicActPerRowFloat
    rows = x.detach() if by_row else x.detach().reshape(1, -1)
    weights = weights.reshape(rows.shape)
    largest = rows.abs().amax(1, keepdim=True)
    q = torch.round(rows / (largest / steps))
    inside = (q >= low) & (q <= high)
    to_scale = weights * (q.clamp(low, high) - torch.where(inside, rows * steps / largest, 0.0))
    to_x = torch.where(inside, weights, 0.0)
    is_largest = rows.abs() == largest
    to_x += is_largest * rows.sign() * to_scale.sum(1, keepdim=True) / steps
    torch.testing.assert_close(x.grad, to_x.reshape(x.shape))


@pytest.mark.parametrize("quantizer", DYNAMIC, ids=name_of)
def test_zeros_empty_and_single_tensors_keep_their_dtype(quantizer):
    inputs = (torch.zeros(3, 4), torch.empty(0, 4), torch.ones(1, 1), torch.randn(4, 6).t())
    for x, dtype in itertools.product(inputs, DTYPES):
        layer = layer_with(quantizer).to(dtype)
        made = layer(x.to(dtype))
        assert made.value.dtype == made.scale.dtype == dtype
        assert made.value.shape == x.shape
        assert bool(made.value.isfinite().all())
        assert bool((made.scale > 0).all())


@pytest.mark.parametrize("quantizer", DYNAMIC, ids=name_of)
def test_channels_last_is_kept(quantizer):
    x = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    made = layer_with(quantizer)(x)
    plain = layer_with(quantizer)(x.contiguous())
    assert made.value.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made.value, plain.value)


@pytest.mark.parametrize("quantizer", DYNAMIC[:2], ids=name_of)
def test_relu_in_front_is_quantized_as_its_result(quantizer, backend):
    x = torch.randn(5, 6)
    fused = QuantReLU(act_quant=quantizer, return_quant_tensor=True)(x)
    apart = layer_with(quantizer)(x.relu())
    assert torch.equal(fused.value, apart.value)
    assert torch.equal(fused.scale, apart.scale)


def test_layer_takes_a_dynamic_input():
    layer = QuantLinear(
        6, 3, input_quant=Int8DynamicActPerTensorFloat, bias_quant=Int32Bias, bias=True
    )
    assert layer(torch.randn(4, 6)).shape == (4, 3)
    rows = QuantLinear(6, 3, input_quant=Int8DynamicActPerRowFloat)
    assert rows(torch.randn(2, 4, 6)).shape == (2, 4, 3)


def test_calibration_passes_dynamic_quantizers_by():
    layer = layer_with(Int8DynamicActPerTensorFloat)
    x = torch.randn(3, 4)
    with torch.no_grad(), calibration_mode(layer):
        layer(100 * x)
    assert layer.eval()(x).scale.item() == pytest.approx(x.abs().max().item() / 128)


@pytest.mark.parametrize("scaling", ["stats", "parameter_from_stats", "const", "parameter"])
def test_scale_per_row_that_is_kept_is_refused(scaling):
    with pytest.raises(ValueError, match="'row', and the rows .* come and go, .* use 'dynamic'"):
        layer_with(
            Int8ActPerTensorFloat,
            scaling_per_output_type="row",
            scaling_impl_type=scaling,
            max_val=1.0,
        )


@pytest.mark.parametrize("scaling", ["stats", "parameter_from_stats", "dynamic"])
def test_weight_has_a_scale_per_row_of_its_last_dimension(scaling):
    layer = QuantLinear(
        6,
        3,
        weight_quant=Int8WeightPerTensorFloat,
        weight_scaling_per_output_type="row",
        weight_scaling_impl_type=scaling,
    )
    largest = layer.weight.detach().abs().amax(1, keepdim=True)
    torch.testing.assert_close(layer.quant_weight_scale().detach(), largest / 127)


# A learned multiple of the batch's statistic


def batch(quantizer, seed, dtype=torch.float64):
    shape = (4, 3, 9) if quantizer in ROWS else (4, 3, 5, 6)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    scaled = x * torch.tensor([1.0, 5.0, 0.2], dtype=dtype).reshape(1, 3, *[1] * (x.dim() - 2))
    return scaled if is_signed(quantizer) else scaled.abs()


def mean_of_largest(x):
    """Mean over the channels of their largest magnitude."""
    return x.abs().transpose(0, 1).flatten(1).amax(1).mean()


@pytest.mark.parametrize("quantizer", ROWS + IMAGES, ids=name_of)
def test_scale_is_the_mean_of_the_channels_largest_and_then_its_true_average(quantizer, backend):
    layer = layer_with(quantizer).double()
    seen = []
    for seed in range(3):
        x = batch(quantizer, seed)
        made = layer(x)
        seen.append(mean_of_largest(x))
        value, scale = expected(x, seen[-1], quantizer)
        torch.testing.assert_close(made.scale.detach(), scale)
        torch.testing.assert_close(made.value.detach(), value)
    average = torch.stack(seen).mean()
    _, scale = expected(x, average, quantizer)
    torch.testing.assert_close(layer.eval()(x).scale.detach(), scale)


@pytest.mark.parametrize("quantizer", ROWS + IMAGES, ids=name_of)
def test_multiple_is_learned(quantizer):
    layer = layer_with(quantizer).double()
    x = batch(quantizer, 0)
    before = layer(x)
    ((name, weight),) = list(layer.named_parameters())
    assert name.endswith("scaling_impl.affine_weight")
    assert weight.item() == 1.0
    before.value.square().sum().backward()
    assert weight.grad.item() != 0.0
    with torch.no_grad():
        weight.mul_(2.0)
    torch.testing.assert_close(layer(x).scale, 2 * before.scale)


def test_multiple_can_be_shifted():
    layer = layer_with(IMAGES[0], affine_shift_scale=True)
    names = [name.split(".")[-1] for name, _ in layer.named_parameters()]
    assert names == ["affine_weight", "affine_bias"]


def test_calibration_averages_the_statistic():
    layer = layer_with(IMAGES[0]).double()
    batches = [batch(IMAGES[0], seed) for seed in range(3)]
    with torch.no_grad(), calibration_mode(layer):
        for x in batches:
            layer(x)
    average = torch.stack([mean_of_largest(x) for x in batches]).mean()
    torch.testing.assert_close(layer.eval()(batches[0]).scale.detach(), average / 128)


# Of a parameter


def test_he_scale_follows_from_the_elements_per_channel():
    layer = QuantLinear(8, 3, weight_scaling_impl_type="he")
    assert layer.quant_weight_scale().item() == pytest.approx((2 / 8) ** 0.5 / 127)
    assert not list(layer.weight_quant.parameters())


def test_learned_multiple_of_a_weight_starts_at_its_statistic():
    layer = QuantLinear(8, 3, weight_scaling_impl_type="affine_stats")
    largest = layer.weight.detach().abs().max()
    torch.testing.assert_close(layer.quant_weight_scale().detach(), largest / 127)
    layer(torch.randn(2, 8)).square().sum().backward()
    assert layer.weight_quant.tensor_quant.scaling_impl.affine_weight.grad.item() != 0.0


@pytest.mark.parametrize("restriction", ["fp", "int", "log_fp", "power_of_two"])
def test_signed_statistic_that_a_restriction_cannot_hold_is_refused(restriction):
    with pytest.raises(
        ValueError, match=f"'signed_max', whose .*'{restriction}' cannot .*'signed_fp'"
    ):
        QuantLinear(
            8,
            3,
            weight_scaling_stats_op="signed_max",
            weight_restrict_scaling_type=restriction,
        )


def test_signed_scale_reaches_from_the_weight_to_the_bias():
    layer = QuantLinear(
        8,
        3,
        weight_scaling_stats_op="signed_max",
        weight_restrict_scaling_type="signed_fp",
        weight_narrow_range=False,
        input_quant=Int8ActPerTensorFloat,
        bias_quant=Int32Bias,
        return_quant_tensor=True,
    )
    with torch.no_grad():
        layer.weight[0, 0] = 3.0
        layer.bias.fill_(0.3)
    x = torch.randn(4, 8)
    out = layer(x)
    assert layer.quant_weight_scale().item() == -3.0 / 128
    assert layer.quant_weight().int()[0, 0] == -128
    assert out.scale.item() < 0
    assert out.is_valid
    assert layer.quant_bias().value.tolist() == pytest.approx([0.3] * 3, rel=0.01)


def test_whole_number_is_a_restriction_too():
    layer = QuantLinear(8, 3, weight_restrict_scaling_type="int")
    with torch.no_grad():
        layer.weight[0, 0] = 6.6
    assert layer.quant_weight_scale().item() == pytest.approx(7.0 / 127)


@pytest.mark.parametrize("granularity", ["group", "row"])
def test_learned_deviations_are_one_number_for_all_scales_that_come_and_go(backend, granularity):
    groups = {"group_size": 4, "group_dim": -1} if granularity == "group" else {}
    layer = QuantIdentity(
        act_quant=Int8DynamicActPerTensorFloat,
        scaling_per_output_type=granularity,
        scaling_stats_op="mean_learn_sigma_std",
        sigma=2.0,
        return_quant_tensor=True,
        **groups,
    )
    (sigma,) = layer.parameters()
    assert sigma.shape == ()
    x = torch.randn(3, 8, dtype=torch.float64)
    size = x.abs().reshape(-1, 4 if granularity == "group" else 8)
    scale = (size.mean(1) + 2 * size.std(1)) / 128
    found = layer.double()(x)
    torch.testing.assert_close(found.scale.expand_as(x)[:, ::4].unique(), scale.unique())
    found.value.square().sum().backward()
    assert sigma.grad.isfinite() and sigma.grad != 0
