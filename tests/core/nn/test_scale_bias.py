"""Scale and shift per channel, own or of a batch norm."""

import pytest
import torch
from torch import nn

from qat import config
from qat.nn import (
    BatchNorm1dToQuantScaleBias,
    BatchNorm2dToQuantScaleBias,
    QuantIdentity,
    QuantScaleBias,
    ScaleBias,
)
from qat.quantizers import (
    Int8ActPerTensorFloatMinMaxInit,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
)

SHAPES = {
    (2, 3, 4, 5): ((1, -1, 1, 1), (1, 3, 1, 1)),
    (2, 3, 4): ((1, -1, 1, 1), (1, 3, 1)),
    (2, 3): ((1, -1, 1, 1), (1, 3)),
    (2, 4, 3): ((1, 1, -1), (1, 1, 3)),
    (3, 4): ((-1, 1), (3, 1)),
    (0, 3, 4, 5): ((1, -1, 1, 1), (1, 3, 1, 1)),
}


def filled(layer):
    torch.nn.init.normal_(layer.weight)
    if layer.bias is not None:
        torch.nn.init.normal_(layer.bias)
    return layer


def test_it_starts_as_the_identity():
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(ScaleBias(3, bias=True)(x), x)
    assert list(ScaleBias(3, bias=True).state_dict()) == ["weight", "bias"]
    assert list(ScaleBias(3, bias=False).state_dict()) == ["weight"]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_channel_is_scaled_and_shifted(shape, bias):
    runtime_shape, spread = SHAPES[shape]
    layer = filled(ScaleBias(3, bias, runtime_shape))
    x = torch.randn(shape)
    expected = x * layer.weight.reshape(spread)
    if bias:
        expected = expected + layer.bias.reshape(spread)
    assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("runtime_shape", [(1, 3, 1, 1), (1, 1), (), (-1, -1), (1, -2)])
@pytest.mark.parametrize("kind", [ScaleBias, QuantScaleBias])
def test_runtime_shape_without_one_place_for_the_channels_is_refused(kind, runtime_shape):
    with pytest.raises(ValueError, match=f"{kind.__name__}: runtime_shape is .* give one -1"):
        kind(3, True, runtime_shape)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("shape", "backend"),
    [*((shape, "python") for shape in SHAPES), ((2, 3, 4), "native"), ((2, 3, 4), "jit")],
    indirect=["backend"],
)
@pytest.mark.parametrize("quantizer", [Int8WeightPerTensorFloat, Int8WeightPerChannelFloat])
def test_integers_of_the_output_are_those_of_input_scale_and_shift(quantizer, shape, bias, backend):
    runtime_shape, spread = SHAPES[shape]
    layer = filled(
        QuantScaleBias(
            3,
            bias,
            runtime_shape,
            weight_quant=quantizer,
            bias_quant=Int32Bias,
            return_quant_tensor=True,
        )
    )
    act = Int8ActPerTensorFloatMinMaxInit
    x = QuantIdentity(act, min_val=-1.0, max_val=1.0, return_quant_tensor=True)(torch.randn(shape))
    out = layer(x)
    w = layer.weight.detach().double()
    per_channel = quantizer is Int8WeightPerChannelFloat
    scale = (w.abs() if per_channel else w.abs().max()) / 127
    q = torch.round(w / scale).reshape(spread)
    expected = x.int().double() * q
    if bias:
        scale = scale.float().double()
        b = torch.round(layer.bias.detach().double() / (scale * x.scale.double()))
        expected = expected + b.reshape(spread)
    assert torch.equal(out.int().double(), expected)
    assert out.zero_point == 0
    assert out.scale.shape == (spread if per_channel else ())


def test_one_product_is_all_that_an_output_sums():
    layer = QuantScaleBias(3, bias=False, return_quant_tensor=True)
    x = QuantIdentity(
        Int8ActPerTensorFloatMinMaxInit, min_val=-1.0, max_val=1.0, return_quant_tensor=True
    )(torch.randn(2, 3))
    assert layer.products_per_output() == 1
    assert layer(x).bit_width == 16  # 128 * 128 = 2**14, so that 2**15 holds it with its sign


def test_without_quantizers_it_is_the_float_layer_bit_by_bit():
    layer = filled(QuantScaleBias(3, bias=True, weight_quant=None))
    floats = ScaleBias(3, bias=True)
    floats.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(layer(x), floats(x))
    assert list(layer.state_dict()) == list(floats.state_dict())
    again = QuantScaleBias.from_float(floats, weight_bit_width=4)
    assert again.weight is floats.weight and again.bias is floats.bias
    assert again.quant_weight().bit_width == 4


# Batch norms

KINDS = {
    "1d": (BatchNorm1dToQuantScaleBias, nn.BatchNorm1d, (5, 3)),
    "1d_sequence": (BatchNorm1dToQuantScaleBias, nn.BatchNorm1d, (5, 3, 4)),
    "2d": (BatchNorm2dToQuantScaleBias, nn.BatchNorm2d, (5, 3, 4, 2)),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def trained(float_class, shape, **arguments):
    """A batch norm that has seen data, with weights of both signs, in evaluation."""
    bn = float_class(3, **arguments)
    for _ in range(3):
        bn(torch.randn(shape) * 3 + 1)
    if bn.affine:
        nn.init.normal_(bn.weight)
        nn.init.normal_(bn.bias)
    return bn.eval()


def scale_and_shift(bn):
    weight = torch.ones(3) if bn.weight is None else bn.weight.detach()
    bias = torch.zeros(3) if bn.bias is None else bn.bias.detach()
    scale = weight.double() / torch.sqrt(bn.running_var.double() + bn.eps)
    return scale, bias.double() - bn.running_mean.double() * scale


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_loaded_batch_norm_computes_what_it_did(kind, affine, eps):
    quantized, float_class, shape = kind
    bn = trained(float_class, shape, affine=affine, eps=eps)
    layer = quantized(3, eps, weight_quant=None)
    outcome = layer.load_state_dict(bn.state_dict())
    assert not outcome.missing_keys and not outcome.unexpected_keys
    scale, shift = scale_and_shift(bn)
    torch.testing.assert_close(layer.weight.double(), scale, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(layer.bias.double(), shift, rtol=1e-6, atol=1e-7)
    x = torch.randn(shape)
    torch.testing.assert_close(layer(x), bn(x), rtol=1e-5, atol=1e-5)


def test_default_quantizer_starts_from_the_scale_that_was_loaded(kind):
    quantized, float_class, shape = kind
    bn = trained(float_class, shape)
    layer = quantized(3, weight_scaling_impl_type="parameter_from_stats")
    with pytest.raises(
        RuntimeError, match="Missing key.*: .weight_quant.tensor_quant.scaling_impl"
    ):
        layer.load_state_dict(bn.state_dict())
    expected = scale_and_shift(bn)[0].abs().max() / 127
    torch.testing.assert_close(layer.quant_weight_scale().double(), expected, rtol=1e-5, atol=0)


def test_keys_are_converted_inside_a_model_and_under_the_prefix_of_another(kind, monkeypatch):
    quantized, float_class, shape = kind
    bn = trained(float_class, shape)
    floats = nn.ModuleDict({"bn": bn, "bn_more": nn.Linear(2, 2)})
    model = nn.ModuleDict({"bn": quantized(3), "bn_more": nn.Linear(2, 2)})
    given = floats.state_dict()
    before = dict(given)
    outcome = model.load_state_dict(given)
    assert repr(outcome) == "<All keys matched successfully>"
    assert list(given) == list(before)
    torch.testing.assert_close(model["bn"].weight.double(), scale_and_shift(bn)[0])


@pytest.mark.parametrize("assign", [True, False])
def test_its_own_state_dict_loads_as_it_is(kind, assign):
    quantized, float_class, shape = kind
    layer, again = quantized(3), quantized(3)
    layer.load_state_dict(trained(float_class, shape).state_dict(), assign=assign)
    assert list(layer.state_dict()) == ["weight", "bias"]
    again.load_state_dict(layer.state_dict(), assign=assign)
    torch.testing.assert_close(again.state_dict(), layer.state_dict(), rtol=0, atol=0)
    assert all(isinstance(p, nn.Parameter) for p in (again.weight, again.bias))


@pytest.mark.parametrize("ignore", [True, False])
def test_what_is_missing_and_not_converted_is_reported(kind, ignore, monkeypatch):
    quantized, _, _ = kind
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", ignore)
    with pytest.raises(RuntimeError, match='Missing key.*"weight", "bias"'):
        quantized(3).load_state_dict({})


def test_a_batch_norm_of_another_size_is_refused(kind):
    quantized, float_class, _ = kind
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        quantized(3).load_state_dict(float_class(4).state_dict())


@pytest.mark.parametrize("affine", [True, False])
def test_from_float_makes_the_layer_of_a_trained_batch_norm(kind, affine):
    quantized, float_class, shape = kind
    bn = trained(float_class, shape, affine=affine, eps=0.01)
    layer = quantized.from_float(bn, weight_quant=None)
    x = torch.randn(shape)
    torch.testing.assert_close(layer(x), bn(x), rtol=1e-5, atol=1e-5)
    assert layer.eps == 0.01 and not layer.training
    assert quantized.from_float(bn, weight_bit_width=4).quant_weight().bit_width == 4
    with pytest.raises(TypeError, match="from_float takes a BatchNorm"):
        quantized.from_float(nn.Linear(3, 3))
    with pytest.raises(ValueError, match="no running statistics"):
        quantized.from_float(float_class(3, track_running_stats=False))


def test_output_lies_on_the_grid_of_input_and_scale(kind):
    quantized, float_class, shape = kind
    layer = quantized(
        3, weight_quant=Int8WeightPerChannelFloat, bias_quant=Int32Bias, return_quant_tensor=True
    )
    layer.load_state_dict(trained(float_class, shape).state_dict())
    act = Int8ActPerTensorFloatMinMaxInit
    x = QuantIdentity(act, min_val=-1.0, max_val=1.0, return_quant_tensor=True)(torch.randn(shape))
    out = layer(x)
    spread = [1, 3, *[1] * (len(shape) - 2)]
    scale = (layer.weight.detach().double().abs() / 127).float() * x.scale
    bias = torch.round(layer.bias.detach().double() / scale.double())
    q = torch.sign(layer.weight).double() * 127
    expected = x.int().double() * q.reshape(spread) + bias.reshape(spread)
    assert out.is_valid and torch.equal(out.int().double(), expected)
