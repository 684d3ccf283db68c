"""Wrappers around models and inside of them."""

import warnings

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from qat import torchscript
from qat.graph import LayerMatch, QuantizerChoice, Role, Rule
from qat.graph.tracing.unwrap import unwrap
from qat.nn import QuantConv2d, QuantLinear

EVERYTHING = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerTensorFloat"),
        Role.ACTIVATION: QuantizerChoice("Uint8ActPerTensorFloat"),
    },
)
WRAPPERS = {
    "data parallel": nn.DataParallel,
    "compiled": torch.compile,
    "compiled data parallel": lambda model: torch.compile(nn.DataParallel(model)),
    "checkpointed": checkpoint_wrapper,
}
needs_script = pytest.mark.skipif(
    not torchscript.is_available(), reason="this torch has no TorchScript"
)


class Net(nn.Module):
    """A backbone, wrapped or not, whose attribute ``features`` the model's code uses."""

    def __init__(self, wrap=lambda module: module):
        super().__init__()
        self.backbone = wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.backbone(x).mean((2, 3)))


class Reaching(Net):
    """Reaches through its wrapper, as people do for a part of what is inside."""

    def forward(self, x):
        return self.fc(self.backbone.module[1](self.backbone.module[0](x)).mean((2, 3)))


def by_torchscript(module, how, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(torch.jit, how)(module, *args)


@pytest.fixture
def quantize(convert):
    """A function: a float model converted, all of it 8 bit."""
    return lambda model: convert(model, EVERYTHING)


@pytest.fixture(params=WRAPPERS)
def wrap(request):
    return WRAPPERS[request.param]


def test_wrapper_around_the_model_is_looked_through_and_noted(wrap, quantize, example):
    net = Net()
    quantized = quantize(wrap(net))
    plain = quantize(net)
    assert list(quantized.model.state_dict()) == list(plain.model.state_dict())
    assert quantized.model.get_parameter("fc.weight") is net.fc.weight
    assert "looked through" in quantized.notes[0] and quantized.notes[-1] == plain.notes[-1]
    assert torch.equal(quantized.model.eval()(example), plain.model.eval()(example))


def test_wrapper_inside_the_model_is_looked_through(wrap, quantize):
    model = Net(wrap)
    keys = list(model.state_dict())
    quantized = quantize(model)
    assert isinstance(quantized.model.get_submodule("backbone.0"), QuantConv2d)
    assert quantized.layers[0].name == "backbone.0"
    assert quantized.notes[0].startswith("'backbone': ")
    assert list(model.state_dict()) == keys


def test_code_that_reaches_through_a_wrapper_still_finds_what_is_inside(quantize):
    quantized = quantize(Reaching(nn.DataParallel))
    assert isinstance(quantized.model.get_submodule("backbone.0"), QuantConv2d)


def test_model_without_wrappers_is_itself():
    net = Net()
    assert unwrap(net).model is net and unwrap(net).notes == []


def test_module_compiled_in_place_is_converted_uncompiled(quantize):
    net = Net()
    net.backbone.compile()
    quantized = quantize(net)
    assert "module.compile()" in quantized.notes[0]
    assert net.backbone._compiled_call_impl is not None


def test_wrapper_with_hooks_is_refused():
    wrapped = nn.DataParallel(Net())
    wrapped.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=r"register them on its \.module"):
        unwrap(wrapped)


@needs_script
def test_scripted_model_is_refused_in_one_sentence(quantize):
    with pytest.raises(ValueError, match="give the Python module") as caught:
        quantize(by_torchscript(Net(), "script"))
    assert "\n" not in str(caught.value)


@needs_script
@pytest.mark.parametrize("how", ["script", "trace"])
def test_scripted_submodule_stays_in_float_with_a_note(how, quantize, example):
    model = Net().eval()
    args = () if how == "script" else (example,)
    model.backbone = by_torchscript(model.backbone, how, *args)
    keys = list(model.state_dict())
    quantized = quantize(model)
    assert isinstance(quantized.model.get_submodule("fc"), QuantLinear)
    assert any("backbone" in note and "TorchScript" in note for note in quantized.notes)
    assert set(keys) <= set(quantized.model.state_dict())
    assert torch.isfinite(quantized.model(example)).all()
