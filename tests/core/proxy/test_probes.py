"""A proxy's scale, zero point and bit width, and its switch."""

import pytest
import torch
from torch import nn

from qat import QuantTensor
from qat.nn import QuantIdentity, QuantLinear, QuantReLU
from qat.proxy import (
    ActQuantProxyFromInjector,
    BiasQuantProxyFromInjector,
    WeightQuantProxyFromInjector,
)
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8ActPerTensorFloatMinMaxInit,
    Int8BiasPerTensorFloatInternalScaling,
    Int32Bias,
    SignedBinaryActPerTensorConst,
)


def snapshot(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def read(proxy):
    return proxy.scale(), proxy.zero_point(), proxy.bit_width()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "scaling_impl_type, backend",
    [("parameter_from_stats", "python"), ("parameter_from_stats", "jit"), ("stats", "native")],
    indirect=["backend"],
)
def test_reading_an_activation_moves_no_statistics(training, scaling_impl_type, backend):
    relu = QuantReLU(scaling_impl_type=scaling_impl_type, quant_delay_steps=5)
    relu(torch.rand(8))
    relu.train(training)
    before = snapshot(relu)
    scale, zero_point, bit_width = read(relu.act_quant)
    after = snapshot(relu)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(module.training is training for module in relu.modules())
    assert scale > 0 and zero_point == 0 and bit_width == 8


def test_reading_gives_what_evaluation_uses():
    identity = QuantIdentity(return_quant_tensor=True)
    identity(torch.randn(16))
    scale = identity.act_quant.scale()
    assert torch.equal(identity.eval()(torch.randn(16)).scale, scale)


def test_an_activation_that_saw_no_data_has_a_scale():
    # threshold 1, signed 8 bit
    assert QuantIdentity().quant_act_scale() == 1 / 128


def test_reading_a_scale_per_channel_needs_no_data():
    identity = QuantIdentity(
        scaling_per_output_channel=True, per_channel_broadcastable_shape=(1, 3, 1, 1)
    )
    assert identity.quant_act_scale().shape == (1, 3, 1, 1)


def test_weight_and_bias_proxies_read_the_parameters_of_their_layer():
    layer = QuantLinear(4, 3, bias_quant=Int8BiasPerTensorFloatInternalScaling)
    torch.testing.assert_close(layer.weight_quant.scale(), layer.weight.abs().max() / 127)
    torch.testing.assert_close(layer.bias_quant.scale(), layer.bias.abs().max() / 128)
    assert layer.weight_quant.bit_width() == layer.bias_quant.bit_width() == 8
    assert layer.weight_quant.zero_point() == layer.bias_quant.zero_point() == 0


def float_proxies():
    layer = nn.Linear(4, 3)
    return [
        kind(layer, None)
        for kind in (
            WeightQuantProxyFromInjector,
            BiasQuantProxyFromInjector,
            ActQuantProxyFromInjector,
        )
    ]


@pytest.mark.parametrize("proxy", float_proxies(), ids=lambda proxy: type(proxy).__name__)
def test_without_a_quantizer_there_is_nothing_to_read_and_values_pass(proxy):
    assert read(proxy) == (None, None, None)
    assert not proxy.is_quant_enabled and proxy.is_signed is None
    x = torch.randn(3)
    out = proxy(x)
    assert (out.value if isinstance(out, QuantTensor) else out) is x
    proxy.init_tensor_quant()
    assert list(proxy.state_dict()) == []
    assert "float" in repr(proxy)


@pytest.mark.parametrize("role", ["weight", "bias", "input", "output"])
def test_disabled_proxies_let_values_pass_and_have_nothing_to_read(role):
    quantizers = {
        "bias_quant": Int8BiasPerTensorFloatInternalScaling,
        "input_quant": SignedBinaryActPerTensorConst,
        "output_quant": Int8ActPerTensorFloatMinMaxInit,
    }
    # the output is fine enough to show every other change
    fine = {"output_min_val": -4.0, "output_max_val": 4.0, "output_bit_width": 16}
    layer = QuantLinear(4, 3, **quantizers, **fine)
    x = torch.randn(2, 4)
    quantized = layer(x)
    proxy = layer.proxies()[role]
    proxy.disable_quant = True
    assert read(proxy) == (None, None, None)
    assert not torch.equal(layer(x), quantized)
    for other in layer.proxies().values():
        other.disable_quant = True
    assert not layer.has_quantizers()
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
    for other in layer.proxies().values():
        other.disable_quant = False
    assert torch.equal(layer(x), quantized)


def test_a_disabled_bias_quantizer_needs_no_input_scale():
    layer = QuantLinear(4, 3, bias_quant=Int32Bias)
    layer.bias_quant.disable_quant = True
    x = torch.randn(2, 4)
    expected = nn.functional.linear(x, layer.quant_weight().value, layer.bias)
    assert torch.equal(layer(x), expected)


def test_a_disabled_activation_still_applies_its_function():
    relu = QuantReLU()
    relu.act_quant.disable_quant = True
    x = torch.randn(8)
    assert torch.equal(relu(x), x.relu())


def test_quantizers_follow_the_mode_of_their_layer_over_a_rebuild():
    relu = QuantReLU().eval()
    relu.act_quant.init_tensor_quant()
    assert not relu.act_quant.tensor_quant.training


@pytest.mark.parametrize(
    "dtype, backend",
    [(torch.float16, "jit"), (torch.bfloat16, "native"), (torch.float64, "python")],
    indirect=["backend"],
)
def test_quantizers_follow_the_dtype_of_their_layer_over_a_rebuild(dtype, backend):
    layer = QuantLinear(4, 3, input_quant=Int8ActPerTensorFloat).to(dtype)
    relu = QuantReLU().to(dtype)
    for proxy in (layer.weight_quant, layer.input_quant, relu.act_quant):
        proxy.init_tensor_quant()
        assert proxy.scale().dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_quantizers_of_a_layer_start_in_its_dtype_and_on_its_device(dtype, device):
    layer = QuantLinear(
        4,
        3,
        input_quant=Int8ActPerTensorFloat,
        output_quant=Int8ActPerTensorFloat,
        bias_quant=Int8BiasPerTensorFloatInternalScaling,
        dtype=dtype,
        device=device,
    )
    for proxy in layer.proxies().values():
        assert proxy.scale().dtype == dtype
        assert proxy.scale().device == layer.weight.device


def test_proxy_names_its_declaration_with_the_layer_bound():
    layer = QuantLinear(4, 3)
    assert layer.weight_quant.quant_injector.module is layer
    assert layer.weight_quant.is_signed is True
