"""Format and granularity of every proxy, and values on them."""

import pytest
import torch

from qat import nn as qnn
from qat import quantizers
from qat.formats import E4M3_OCP, IntFormat
from qat.granularity import PerAxis, PerGroup, PerRow, PerTensor
from qat.nn import QuantIdentity, QuantLinear
from qat.quantizers.registry import ready_made, ready_made_names
from qat.tensor import QuantTensor

WEIGHTS = [name for name in ready_made_names() if "Weight" in name]
ACTS = [name for name in ready_made_names() if "Act" in name]
#: What some quantizers leave to their user.
FOR_ACTS = {
    "per_channel_broadcastable_shape": (1, 8, 1, 1),
    "group_dim": 1,
    "min_val": -1.0,
    "max_val": 1.0,
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_keeps_to_the_format_and_granularity_of_its_proxy(name):
    io_quant = quantizers.Int8ActPerTensorFloat  # asked by those that depend on the input
    layer = qnn.QuantConv2d(8, 6, 3, weight_quant=ready_made(name), input_quant=io_quant)
    layer.weight.data *= torch.logspace(-2, 2, 6).reshape(6, 1, 1, 1)
    check(layer.weight_quant, layer.quant_weight())


@pytest.mark.parametrize("name", ACTS)
def test_an_activation_keeps_to_the_format_and_granularity_of_its_proxy(name):
    layer = QuantIdentity(ready_made(name).let(**FOR_ACTS), return_quant_tensor=True)
    x = 3.0 * torch.randn(2, 8, 4) if name.endswith("1d") else 3.0 * torch.randn(2, 8, 4, 4)
    layer(x)
    check(layer.act_quant, layer(x))


def check(proxy, x):
    assert x.format == proxy.format
    assert (x.format is None) == (proxy.granularity is None) == (not proxy.is_quant_enabled)
    if isinstance(x.format, IntFormat):
        q = (x.value / x.scale + x.zero_point).round()
        assert q.min() >= x.format.min_value and q.max() <= x.format.max_value
        assert x.format.bits == float(x.bit_width)
    if x.format is not None and not getattr(proxy.tensor_quant, "has_two_scales", False):
        check_granularity(proxy, x)  # TTQ has two scales, of positive and of negative weights


def check_granularity(proxy, x):
    granularity, scale = proxy.granularity, x.scale.detach().broadcast_to(x.shape)
    if isinstance(granularity, PerTensor):
        parts = [scale]
    elif isinstance(granularity, PerAxis):
        assert proxy.scale().numel() == x.shape[granularity.axis]
        parts = scale.unbind(granularity.axis)
    elif isinstance(granularity, PerRow):
        parts = scale.flatten(0, -2).unbind()
    else:
        lines = scale.movedim(granularity.axis, 0).flatten(1).unbind(1)
        parts = [group for line in lines for group in line.split(granularity.size)]
    assert all(bool((part == part.flatten()[0]).all()) for part in parts)


def test_the_values_are_those_that_were_declared():
    def weight(name, layer=qnn.QuantLinear, size=(8, 6)):
        return layer(*size, weight_quant=getattr(quantizers, name)).weight_quant

    found = weight("Int8WeightPerTensorFloat")
    assert (found.format, found.granularity) == (IntFormat(8, narrow=True), PerTensor())
    found = weight("Int8WeightPerChannelFloat", qnn.QuantConvTranspose2d, (8, 6, 3))
    assert found.granularity == PerAxis(1)
    assert weight("SignedBinaryWeightPerTensorConst").format.is_binary
    assert weight("Fp8e4m3OCPWeightPerTensorFloat").format == E4M3_OCP
    assert weight("MXInt8Weight").granularity == PerGroup(1, 32)
    act = QuantIdentity(quantizers.Uint8ActPerTensorFloat).act_quant
    assert (act.format, act.granularity) == (IntFormat(8, signed=False), PerTensor())
    rows = QuantIdentity(quantizers.Int8DynamicActPerRowFloat).act_quant
    assert rows.granularity == PerRow()


def test_channels_in_front_of_a_shape_are_counted_from_behind():
    shape = {"scaling_per_output_channel": True, "per_channel_broadcastable_shape": (8, 1, 1)}
    assert QuantIdentity(quantizers.Int8ActPerTensorFloat, **shape).act_quant.granularity == (
        PerAxis(-3)
    )


def test_the_format_has_the_bits_in_use():
    layer = QuantLinear(4, 3, weight_bit_width=4, weight_bit_width_impl_type="parameter")
    learned = layer.weight_quant.tensor_quant.msb_clamp_bit_width_impl
    learned.bit_width_offset.data += 0.6
    assert layer.weight_quant.format == layer.quant_weight().format == IntFormat(5, narrow=True)
    layer = QuantLinear(4, 3)
    layer.weight_quant.set_bit_width(3)
    assert layer.weight_quant.format == IntFormat(3, narrow=True)
    layer.weight_quant.disable_quant = True
    assert layer.weight_quant.format is layer.quant_weight().format is None


def test_a_bias_in_the_scale_of_its_layer_has_a_format_and_no_granularity():
    layer = QuantLinear(4, 3, bias_quant=quantizers.Int16Bias)
    assert (layer.bias_quant.format, layer.bias_quant.granularity) == (IntFormat(16), None)
    own = QuantLinear(4, 3, bias_quant=quantizers.Int8BiasPerTensorFloatInternalScaling).bias_quant
    assert (own.format.bits, own.granularity) == (8, PerTensor())
    assert QuantLinear(4, 3, bias=False, bias_quant=quantizers.Int8Bias).bias_quant.format is None


def test_an_accumulator_has_the_format_that_its_input_leaves_it():
    x = QuantTensor(torch.ones(1, 2, 4, 4), 1.0, 0.0, 8.0, False)
    pool = qnn.TruncAvgPool2d(2, bit_width=6, return_quant_tensor=True)
    assert pool.trunc_quant.format is pool.trunc_quant.granularity is None
    assert pool(x).format == IntFormat(6, signed=False)


def test_a_layer_without_quantizer_has_neither():
    layer = QuantLinear(4, 3, weight_quant=None)
    assert layer.weight_quant.format is layer.weight_quant.granularity is None
