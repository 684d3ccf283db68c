"""Batch norms merged into the layer before them."""

import pytest
import torch
from torch import nn

from qat.nn import (
    QuantConv1d,
    QuantConv2d,
    QuantConv3d,
    QuantConvTranspose1d,
    QuantConvTranspose2d,
    QuantConvTranspose3d,
    QuantLinear,
    QuantScaleBias,
)
from qat.nn.base.merge_bn import merge_batch_norm
from qat.quantizers import (
    Int8ActPerTensorFloatMinMaxInit,
    Int8BiasPerTensorFloatInternalScaling,
    Int8WeightPerChannelFloat,
    Int8WeightPerChannelFloatMSE,
    Int8WeightPerTensorFloat,
)

# layer, its arguments, the batch norm, the shape of the input
LAYERS = {
    "linear": (QuantLinear, (4, 6), nn.BatchNorm1d, (5, 4)),
    "conv1d": (QuantConv1d, (4, 6, 3), nn.BatchNorm1d, (2, 4, 5)),
    "conv2d": (QuantConv2d, (4, 6, 3, 1, 1, 1, 2), nn.BatchNorm2d, (2, 4, 5, 5)),
    "conv3d": (QuantConv3d, (4, 6, 2), nn.BatchNorm3d, (2, 4, 3, 3, 3)),
    "transpose1d": (QuantConvTranspose1d, (4, 6, 3, 2), nn.BatchNorm1d, (2, 4, 5)),
    "transpose2d": (QuantConvTranspose2d, (4, 6, 3), nn.BatchNorm2d, (2, 4, 5, 5)),
    "transpose2d_grouped": (
        QuantConvTranspose2d,
        (4, 6, 3, 2, 1, 0, 2),
        nn.BatchNorm2d,
        (2, 4, 5, 5),
    ),
    "transpose3d": (QuantConvTranspose3d, (4, 6, 2), nn.BatchNorm3d, (2, 4, 3, 3, 3)),
}


@pytest.fixture(params=LAYERS)
def case(request):
    return LAYERS[request.param]


def trained(bn_class, layer, x, affine=True):
    """A batch norm in evaluation that has seen what ``layer`` gives."""
    bn = bn_class(6, affine=affine)
    with torch.no_grad():
        for _ in range(3):
            bn(layer(x) * 3 + 1)
        if affine:
            nn.init.normal_(bn.weight)
            nn.init.normal_(bn.bias)
    return bn.eval()


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
def test_float_layer_gives_what_both_gave(case, bias, affine):
    quantized, arguments, bn_class, shape = case
    layer = quantized(*arguments, bias=bias, weight_quant=None)
    x = torch.randn(shape)
    bn = trained(bn_class, layer, x, affine)
    floats = layer.float_class(*arguments, bias=bias)
    floats.load_state_dict(layer.state_dict())
    expected = bn(layer(x))

    layer.merge_bn_in(bn)
    merge_batch_norm(floats, bn)

    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(floats(x), layer(x))


@pytest.mark.parametrize("quantizer", [Int8WeightPerChannelFloat, Int8WeightPerChannelFloatMSE])
@pytest.mark.parametrize("name", [name for name in LAYERS if "grouped" not in name])
def test_scales_per_channel_take_the_batch_norm_and_leave_the_integers(name, quantizer):
    quantized, arguments, bn_class, shape = LAYERS[name]
    layer = quantized(*arguments, weight_quant=quantizer)
    x = torch.randn(shape)
    bn = trained(bn_class, layer, x)
    expected, before = bn(layer(x)), layer.quant_weight().int()

    layer.merge_bn_in(bn)

    torch.testing.assert_close(layer(x), expected, rtol=1e-3, atol=1e-4)
    signs = torch.sign(bn.weight).reshape(
        [6 if dim == layer.output_channel_dim else 1 for dim in range(layer.weight.dim())]
    )
    assert torch.equal(layer.quant_weight().int(), (before * signs).to(torch.int8))


@pytest.mark.parametrize("scaling", ["stats", "parameter_from_stats"])
@pytest.mark.parametrize("quantizer", [Int8WeightPerTensorFloat, Int8WeightPerChannelFloat])
def test_scale_starts_from_the_merged_weight(case, quantizer, scaling):
    quantized, arguments, bn_class, shape = case
    layer = quantized(*arguments, weight_quant=quantizer, weight_scaling_impl_type=scaling)
    bn = trained(bn_class, layer, torch.randn(shape))
    before = [p for name, p in layer.named_parameters()]

    layer.merge_bn_in(bn)

    w = layer.weight.detach()
    others = [dim for dim in range(w.dim()) if dim != layer.output_channel_dim]
    per_tensor = quantizer is Int8WeightPerTensorFloat
    largest = w.abs().max() if per_tensor else w.abs().amax(others, keepdim=True)
    torch.testing.assert_close(layer.quant_weight_scale().detach(), largest / 127)
    # what an optimizer holds stays in use
    assert all(p is q for p, q in zip(before, layer.parameters(), strict=True))


def test_bias_that_appears_is_quantized_as_the_layer_was_told():
    layer = QuantLinear(4, 6, bias=False, bias_quant=Int8BiasPerTensorFloatInternalScaling)
    x = torch.randn(5, 4)
    bn = trained(nn.BatchNorm1d, layer, x)
    assert layer.quant_bias() is None
    layer.merge_bn_in(bn)
    shift = bn.bias - bn.running_mean * bn.weight / torch.sqrt(bn.running_var + bn.eps)
    scale = shift.detach().abs().max() / 128
    torch.testing.assert_close(layer.quant_bias().scale, scale, rtol=1e-4, atol=0)
    assert "bias" in dict(layer.named_parameters()) and layer.bias.requires_grad


def test_scale_and_shift_take_a_batch_norm_too():
    layer = QuantScaleBias(6, bias=True, weight_quant=None)
    nn.init.normal_(layer.weight)
    x = torch.randn(2, 6, 3, 3)
    bn = trained(nn.BatchNorm2d, layer, x)
    expected = bn(layer(x))
    layer.merge_bn_in(bn)
    torch.testing.assert_close(layer(x), expected)


def test_output_quantizer_then_quantizes_what_the_batch_norm_gave():
    bounds = {"output_min_val": -2.0, "output_max_val": 2.0}
    layer = QuantLinear(
        4, 6, weight_quant=None, output_quant=Int8ActPerTensorFloatMinMaxInit, **bounds
    )
    x = torch.randn(5, 4)
    floats = nn.Linear(4, 6)
    floats.weight, floats.bias = layer.weight, layer.bias
    bn = trained(nn.BatchNorm1d, floats, x)
    expected = torch.round(bn(floats(x)).double() * 64).clamp(-128, 127) / 64
    layer.merge_bn_in(bn)
    torch.testing.assert_close(layer(x).double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_layers_of_other_types_stay_in_them(dtype):
    layer = QuantConv2d(4, 6, 1, bias=False, weight_quant=None)
    x = torch.randn(2, 4, 3, 3)
    bn = trained(nn.BatchNorm2d, layer, x)
    expected = bn(layer(x))
    layer.to(dtype).merge_bn_in(bn.to(dtype))
    assert layer.weight.dtype == layer.bias.dtype == dtype
    tolerance = 16 * max(torch.finfo(dtype).eps, 1e-7)
    torch.testing.assert_close(layer(x.to(dtype)).float(), expected, rtol=tolerance, atol=tolerance)


def test_batch_norm_of_other_channels_or_without_statistics_is_refused():
    layer = QuantConv2d(4, 6, 1)
    before = layer.weight.detach().clone()
    with pytest.raises(ValueError, match="BatchNorm2d has 4 channels but QuantConv2d gives 6"):
        layer.merge_bn_in(nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match="no running statistics .* leave it as it is"):
        layer.merge_bn_in(nn.BatchNorm2d(6, track_running_stats=False))
    assert torch.equal(layer.weight, before)
