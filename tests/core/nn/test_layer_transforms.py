"""Each layer with a weight: compiled, exported, copied, stored, in other types, on odd batches."""

import copy
import pickle

import pytest
import torch
from torch import nn

from qat import QuantTensor
from qat.nn import (
    BatchNorm1dToQuantScaleBias,
    BatchNorm2dToQuantScaleBias,
    QuantConv1d,
    QuantConv2d,
    QuantConv3d,
    QuantConvTranspose1d,
    QuantConvTranspose2d,
    QuantConvTranspose3d,
    QuantEmbedding,
    QuantLinear,
    QuantScaleBias,
)
from qat.quantizers import (
    Int8ActPerTensorFloatMinMaxInit,
    Int8WeightPerChannelFloat,
    Int32Bias,
)

WEIGHT = {
    "weight_quant": Int8WeightPerChannelFloat,
    "weight_scaling_impl_type": "parameter_from_stats",
    "return_quant_tensor": True,
}
ALL = {
    **WEIGHT,
    "bias_quant": Int32Bias,
    "input_quant": Int8ActPerTensorFloatMinMaxInit,
    "input_min_val": -2.0,
    "input_max_val": 2.0,
}

# name: how to make the layer, the shape of one sample
LAYERS = {
    "linear": (lambda: QuantLinear(4, 3, **ALL), (4,)),
    "conv1d": (lambda: QuantConv1d(4, 6, 3, groups=2, **ALL), (4, 5)),
    "conv2d": (lambda: QuantConv2d(4, 6, 3, padding=1, **ALL), (4, 5, 5)),
    "conv3d": (lambda: QuantConv3d(4, 6, 2, bias=False, **ALL), (4, 3, 3, 3)),
    "transpose1d": (lambda: QuantConvTranspose1d(4, 6, 3, groups=2, **ALL), (4, 5)),
    "transpose2d": (lambda: QuantConvTranspose2d(4, 6, 3, stride=2, **ALL), (4, 3, 3)),
    "transpose3d": (lambda: QuantConvTranspose3d(4, 6, 2, **ALL), (4, 2, 2, 2)),
    "scale_bias": (lambda: QuantScaleBias(4, True, **ALL), (4, 3, 3)),
    "batch_norm1d": (lambda: BatchNorm1dToQuantScaleBias(4, **ALL), (4,)),
    "batch_norm2d": (lambda: BatchNorm2dToQuantScaleBias(4, **ALL), (4, 3, 3)),
    "embedding": (lambda: QuantEmbedding(9, 4, padding_idx=0, **WEIGHT), None),
}
FLOAT_INPUT = [name for name, (_, shape) in LAYERS.items() if shape is not None]


@pytest.fixture(params=LAYERS)
def name(request):
    return request.param


def made(name):
    layer = LAYERS[name][0]()
    if isinstance(layer, QuantScaleBias):
        nn.init.normal_(layer.weight)
        layer.weight_quant.init_tensor_quant()
    return layer


def batch(name, count=3, dtype=None):
    shape = LAYERS[name][1]
    if shape is None:
        return torch.randint(0, 9, (count, 2))
    return torch.randn(count, *shape, dtype=dtype)


def gradients(layer):
    return {name: p.grad for name, p in layer.named_parameters() if p.grad is not None}


def test_compiled_training_is_eager_training(name, without_jit):
    torch._dynamo.reset()
    eager = made(name)
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    x = batch(name)
    expected, out = eager(x), compiled(x)
    torch.testing.assert_close(out.value, expected.value)
    for result in (expected, out):
        result.value.square().sum().backward()
    torch.testing.assert_close(gradients(twin), gradients(eager))
    assert torch.equal(out.int(), expected.int()) and torch.equal(out.scale, expected.scale)


def test_exported_evaluation_is_eager_evaluation(name, without_jit):
    layer = made(name).eval()
    x = batch(name)
    out = torch.export.export(layer, (x,)).module()(x)
    assert isinstance(out, QuantTensor) and out.is_valid
    assert torch.equal(out.value, layer(x).value)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))],
    ids=["deep", "pickle"],
)
def test_a_copy_computes_the_same_and_lives_its_own_life(name, copied, backend):
    layer = made(name).eval()
    twin = copied(layer)
    x = batch(name)
    before = layer(x).value
    assert torch.equal(twin(x).value, before)
    with torch.no_grad():
        twin.weight.add_(1.0)
    assert torch.equal(layer(x).value, before)
    assert not torch.equal(twin(x).value, before)


def test_a_state_dict_makes_another_layer_the_same(name, backend):
    layer, again = made(name), made(name)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(1.25)
    again.load_state_dict(layer.state_dict())
    x = batch(name)
    assert torch.equal(again(x).int(), layer(x).int())
    torch.testing.assert_close(again.state_dict(), layer.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_layer_trains_in_other_types(name, dtype, backend):
    layer = made(name).to(dtype)
    out = layer(batch(name, dtype=dtype))
    assert out.dtype == out.scale.dtype == dtype and torch.isfinite(out.value).all()
    out.value.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == dtype for p in layer.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_a_small_batch_is_a_part_of_a_larger_one(name, training, backend):
    layer = made(name).train(training)
    x = batch(name)
    whole = layer(x)
    for count in (0, 1):
        out = layer(x[:count])
        assert out.is_valid and torch.equal(out.int(), whole.int()[:count])
        torch.testing.assert_close(out.value, whole.value[:count])
        assert out.training is whole.training is training
        out.value.sum().backward()


@pytest.mark.parametrize("name", [name for name in FLOAT_INPUT if len(LAYERS[name][1]) in (3, 4)])
def test_channels_last_gives_the_same_values(name):
    layer = made(name)
    x = batch(name)
    last = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
    expected = layer(x)
    out = layer.to(memory_format=last)(x.to(memory_format=last))
    torch.testing.assert_close(out.value, expected.value)
    assert torch.equal(out.int(), expected.int())


@pytest.mark.parametrize("name", FLOAT_INPUT)
def test_values_of_training_and_evaluation_are_the_same(name):
    layer = made(name)
    x = batch(name)
    assert torch.equal(layer.eval()(x).value, layer.train()(x).value)


def test_a_layer_on_a_device_gives_what_it_gives_on_the_cpu(name, device):
    layer = made(name).eval()
    x = batch(name)
    expected = layer(x).value
    out = copy.deepcopy(layer).to(device)(x.to(device)).value
    assert out.device.type == device.type
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-3, atol=1e-3)
