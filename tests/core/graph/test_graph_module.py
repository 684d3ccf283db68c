"""Models with parts of any name, and models of one layer."""

import copy
import io

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, merge_batch_norms
from qat.graph.model.graph_module import NAMES_OF_FX, QuantGraphModule
from qat.nn import QuantConv2d, QuantLinear, QuantReLU

EVERYTHING = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerTensorFloat"),
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat"),
        Role.ACTIVATION: QuantizerChoice("Uint8ActPerTensorFloat"),
    },
)
NAMES = ["meta", "graph", "code", "module", "self", "in", "a b", "recompile", "_graph", "x", "None"]


class Named(nn.Module):
    """A convolution, a block, a buffer and a parameter under the name given."""

    def __init__(self, name):
        super().__init__()
        self.name = name
        self.add_module(name, nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential()))
        getattr(self._modules[name], "2").add_module(name, nn.Conv2d(4, 4, 3))
        self.fc = nn.Linear(16, 2)

    def forward(self, x):
        return self.fc(F.relu(self._modules[self.name](x)).flatten(1))


class WithTensors(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("graph", torch.full((), 2.0))
        self.meta = nn.Parameter(torch.full((), 3.0))
        self.register_buffer("code", torch.full((), 5.0), persistent=False)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        return self.fc(x) * self.graph * self.meta * self.code


@pytest.fixture(params=NAMES)
def named(request):
    return Named(request.param).eval()


def test_parts_of_any_name_are_quantized_under_it(convert, named, example):
    keys = list(named.state_dict())
    converted = convert(named, EVERYTHING).model
    assert isinstance(converted.get_submodule(f"{named.name}.0"), QuantConv2d)
    assert isinstance(converted.get_submodule(f"{named.name}.2.{named.name}"), QuantConv2d)
    assert [key for key in converted.state_dict() if "_quant." not in key] == keys
    converted.load_state_dict(converted.state_dict())
    for _ in range(30):
        converted.train()(example)
    converted.eval()
    named.eval()
    error = (converted(example) - named(example)).abs().max()
    assert error < 0.1 * named(example).abs().max()


def test_rules_reach_them_by_their_names(convert, named):
    own = Rule("own", LayerMatch(name=f"{named.name}.0"), {Role.WEIGHT: None, Role.INPUT: None})
    converted = convert(named, EVERYTHING, own).model
    assert type(converted.get_submodule(f"{named.name}.0")) is nn.Conv2d


def test_copies_pickles_and_merged_models_compute_the_same(convert, named, example):
    converted = convert(named, EVERYTHING).model
    converted.train()(example)
    expected = converted.eval()(example)
    file = io.BytesIO()
    torch.save(converted, file)
    loaded = torch.load(io.BytesIO(file.getvalue()), weights_only=False)
    for other in (copy.deepcopy(converted), loaded):
        assert isinstance(other, QuantGraphModule)
        assert list(other.state_dict()) == list(converted.state_dict())
        assert torch.equal(other(example), expected)
    merged = merge_batch_norms(converted)
    torch.testing.assert_close(merged(example), expected, atol=0.1, rtol=0.1)


def test_buffers_and_parameters_may_have_such_names_too(convert):
    model, x = WithTensors(), torch.randn(2, 6)
    converted = convert(model, EVERYTHING, x=x).model
    assert converted.get_parameter("meta") is model._parameters["meta"]
    assert converted.get_buffer("graph") is model._buffers["graph"]
    kept = [key for key in converted.state_dict() if "_quant." not in key]
    assert sorted(kept) == sorted(model.state_dict())  # that is, without ``code``
    converted(x).sum().backward()
    assert model._parameters["meta"].grad is not None
    torch.testing.assert_close(copy.deepcopy(converted)(x), converted(x))


def test_things_of_fx_are_those_of_fx():
    module = QuantGraphModule(model := Named("graph"), fx.Tracer().trace(model))
    assert isinstance(module.graph, fx.Graph) and "self._modules['graph']" in module.code
    assert {"graph", "code", "meta", "_graph", "add_submodule"} <= NAMES_OF_FX
    assert not NAMES_OF_FX & set(dir(nn.Module()))


@pytest.mark.parametrize(
    ("layer", "kind"),
    [(nn.Linear(6, 2), QuantLinear), (nn.Conv2d(3, 4, 3), QuantConv2d), (nn.ReLU(), QuantReLU)],
)
def test_model_of_one_layer_becomes_the_quantized_layer(convert, layer, kind, example):
    quantized = convert(layer.eval(), EVERYTHING)
    assert isinstance(quantized.model, kind)
    assert list(layer.state_dict()) == list(quantized.model.state_dict())[: len(layer.state_dict())]
    assert quantized.layers[0].name == type(layer).__name__.lower()
    assert quantized.model(example).shape == layer(example).shape and not quantized.model.training
