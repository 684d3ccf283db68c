"""A converted model is a model: saved, copied, compiled, exported, trained."""

import copy
import pickle

import pytest
import torch
import torchvision
from torch import nn

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model

ALL = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerTensorFloat"),
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat"),
        Role.ACTIVATION: QuantizerChoice("Uint8ActPerTensorFloat"),
        Role.ADD: QuantizerChoice("Int8ActPerTensorFloat"),
    },
)
LEARNED = Rule(
    "quant",
    LayerMatch(),
    {Role.WEIGHT: QuantizerChoice(None, {"scaling_impl_type": "parameter_from_stats"})},
)
BIAS = Rule("quant", LayerMatch(), {Role.BIAS: QuantizerChoice("Int32Bias")})


@pytest.fixture
def trained(convert, small_net, example):
    """A converted model that has seen data, in evaluation mode."""
    model = convert(small_net, ALL, LEARNED).model
    model(example)
    return model.eval()


def test_parameters_are_those_of_the_float_model(convert, small_net):
    model = convert(small_net).model
    for name, parameter in small_net.named_parameters():
        assert model.get_parameter(name) is parameter


def test_state_dict_has_all_names_of_the_float_model(convert, small_net):
    assert set(small_net.state_dict()) <= set(convert(small_net).model.state_dict())


def test_state_dict_loads_strictly_into_another_conversion(trained, convert, small_net, example):
    other = convert(copy.deepcopy(small_net), ALL, LEARNED).model
    with torch.no_grad():
        other.conv1.weight.mul_(3)
    other.load_state_dict(trained.state_dict())
    assert torch.equal(other.eval()(example), trained(example))


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize(
    ("copied", "backend"),
    [(copy.deepcopy, "python"), (through_pickle, "python"), (through_pickle, "jit")],
    indirect=["backend"],
)
def test_copy_gives_the_same_and_stands_alone(copied, backend, convert, small_net, example):
    model = convert(small_net, ALL, LEARNED, BIAS).model
    model(example)
    other = copied(model.eval())
    assert torch.equal(other(example), model(example))
    with torch.no_grad():
        other.conv1.weight.mul_(3)
    assert not torch.equal(other(example), model(example))


def test_compiled_whole_it_gives_the_numbers_of_eager(compiler, convert, example):
    layers = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    model = convert(layers, ALL, LEARNED).model
    reference = copy.deepcopy(model)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        out, expected = compiled(example), reference(example)
        torch.testing.assert_close(out, expected)
        out.sum().backward()
        expected.sum().backward()
    for name, parameter in reference.named_parameters():
        gradient = model.get_parameter(name).grad
        assert (gradient is None) == (parameter.grad is None), name
        if gradient is not None:
            torch.testing.assert_close(gradient, parameter.grad)


def test_exported_it_gives_the_numbers_of_eager(compiler, trained, example):
    exported = torch.export.export(trained, (example,))
    assert torch.equal(exported.module()(example), trained(example))


def test_every_parameter_learns(convert, small_net, example):
    model = convert(small_net, ALL, LEARNED).model
    steps = {"collect_stats_steps": 1}
    one_step = Rule("quant", LayerMatch(), {Role.ACTIVATION: QuantizerChoice(None, steps)})
    add = Rule("quant", LayerMatch(), {Role.ADD: QuantizerChoice(None, steps)})
    image = Rule("quant", LayerMatch(), {Role.INPUT: QuantizerChoice(None, steps)})
    model = convert(small_net, ALL, LEARNED, one_step, add, image).model
    model(example)
    model(example).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_quantized_weights_lie_on_their_grid(trained):
    weight = trained.conv1.quant_weight()
    assert weight.is_valid
    assert weight.int().unique().numel() <= 255


def test_every_backend_gives_the_same(backend, convert, small_net, example, monkeypatch):
    from qat import config

    float_model = copy.deepcopy(small_net).eval()
    model = convert(float_model).model
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", False)
    reference = convert(copy.deepcopy(float_model)).model
    reference.load_state_dict(model.state_dict())
    assert torch.equal(model(example), reference(example))


def test_resnet_of_torchvision_is_converted_whole():
    model = torchvision.models.resnet18(num_classes=3)
    quantized = quantize_model(model, [ALL], torch.randn(1, 3, 32, 32))
    kinds = [row.kind for row in quantized.layers]
    assert kinds.count("QuantConv2d") == 20
    assert kinds.count("QuantReLU") == 17
    assert kinds.count("QuantEltwiseAdd") == 8
    assert kinds.count("QuantLinear") == 1
    assert quantized.model.eval()(torch.randn(1, 3, 32, 32)).shape == (1, 3)


def test_vision_transformer_of_torchvision_is_converted_and_says_what_is_left():
    model = torchvision.models.VisionTransformer(
        image_size=16, patch_size=8, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=16
    )
    quantized = quantize_model(model, [ALL], torch.randn(2, 3, 16, 16))
    layers = "encoder.layers.encoder_layer_0"
    names = [row.name for row in quantized.layers if row.weight.startswith("8 bit")]
    projections = [f"{layers}.self_attention.{part}" for part in ("in_proj", "out_proj")]
    mlp = [f"{layers}.mlp.0", f"{layers}.mlp.3"]
    assert names == ["conv_proj", *projections, *mlp, "heads.head"]
    assert not any("Attention" in note for note in quantized.notes)
    assert quantized.model(torch.randn(2, 3, 16, 16)).shape == (2, 1000)


def test_conversion_follows_the_dtype_of_the_model(convert, small_net, example):
    model = convert(small_net.double(), x=example.double()).model
    assert model(example.double()).dtype == torch.float64
    assert isinstance(model.bn, nn.BatchNorm2d)
