"""Learned scales of weights start from the weights of the first use."""

import copy

import pytest
import torch
from torch import nn

from qat import config
from qat.nn import QuantConv2d, QuantLinear
from qat.quantizers import (
    Int8WeightPerChannelFloat,
    Int8WeightPerChannelFloatMSE,
    ready_made,
    ready_made_names,
)
from qat.quantizers.resolve.roles import Role, role_of

WEIGHTS = [name for name in ready_made_names() if role_of(ready_made(name)) is Role.WEIGHT]


def initialised(layer, weight):
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.weight.add_(weight)


def copied_in_data(layer, weight):
    layer.weight.data.copy_(weight)


def assigned(layer, weight):
    layer.load_state_dict({"weight": weight}, assign=True, strict=False)


def replaced(layer, weight):
    layer.weight = nn.Parameter(weight.clone())


@pytest.fixture(params=[initialised, copied_in_data, assigned, replaced])
def give(request):
    return request.param


def layer_with(quant, weight=None):
    torch.manual_seed(0)
    layer = QuantLinear(64, 4, bias=False, weight_quant=quant)
    if weight is not None:
        layer = QuantLinear.from_float(_linear(weight), weight_quant=quant)
    return layer


def _linear(weight):
    made = nn.Linear(64, 4, bias=False)
    made.weight = nn.Parameter(weight.clone())
    return made


WEIGHT = torch.randn(4, 64, generator=torch.Generator().manual_seed(3)) * 8


@pytest.mark.parametrize("name", WEIGHTS)
def test_scale_is_that_of_a_layer_built_on_the_weights(name):
    quant = ready_made(name)
    layer = layer_with(quant)
    if layer.weight_quant.requires_quant_input or not layer.weight_quant.is_quant_enabled:
        pytest.skip("quantizes nothing, or only together with an input")
    layer.weight.data.copy_(WEIGHT)
    wanted = layer_with(quant, WEIGHT)
    x = torch.eye(64)
    torch.testing.assert_close(layer(x), wanted(x))
    state, theirs = layer.state_dict(), wanted.state_dict()
    for key in theirs:
        torch.testing.assert_close(state[key], theirs[key])


def test_however_the_weights_got_there(give):
    layer = layer_with(Int8WeightPerChannelFloatMSE)
    give(layer, WEIGHT)
    wanted = layer_with(Int8WeightPerChannelFloatMSE, WEIGHT)
    assert torch.equal(layer.weight_quant.scale(), wanted.weight_quant.scale())
    assert torch.equal(layer(torch.eye(64)), wanted(torch.eye(64)))


@pytest.mark.parametrize("backend", ["jit"], indirect=True)
@pytest.mark.parametrize("name", ["TTQWeight", "Int8WeightNormL2PerChannelFixedPoint"])
def test_whoever_compiles_the_quantizer(name, backend):
    test_scale_is_that_of_a_layer_built_on_the_weights(name)


def test_parameters_keep_their_identity_and_the_second_use_leaves_them():
    layer = layer_with(Int8WeightPerChannelFloat.let(scaling_impl_type="parameter_from_stats"))
    before = dict(layer.named_parameters())
    layer.weight.data.copy_(WEIGHT)
    layer(torch.eye(64))
    assert all(item is before[name] for name, item in layer.named_parameters())
    scale = layer.weight_quant.scale().clone()
    layer.weight.data.mul_(5)
    layer(torch.eye(64))
    assert torch.equal(layer.weight_quant.scale(), scale)
    layer.weight_quant.init_tensor_quant()
    layer(torch.eye(64))
    torch.testing.assert_close(layer.weight_quant.scale(), scale * 5)


def test_loaded_scales_stay_whatever_becomes_of_the_weights():
    trained = layer_with(Int8WeightPerChannelFloatMSE)
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            if "quant" in name:
                parameter.mul_(3)
    layer = layer_with(Int8WeightPerChannelFloatMSE)
    layer.load_state_dict(trained.state_dict())
    scale = layer.weight_quant.scale().clone()
    layer.weight.data.copy_(WEIGHT)
    layer(torch.eye(64))
    assert torch.equal(layer.weight_quant.scale(), scale)


def test_float_weights_loaded_without_reinitialisation_keep_the_scale(monkeypatch):
    layer = layer_with(Int8WeightPerChannelFloatMSE)
    scale = layer.weight_quant.scale().clone()
    monkeypatch.setattr(config, "REINIT_ON_STATE_DICT_LOAD", False)
    layer.load_state_dict({"weight": WEIGHT}, strict=False)
    layer(torch.eye(64))
    assert torch.equal(layer.weight_quant.scale(), scale)


def test_copies_and_layers_in_half_precision_wait_too():
    layer = QuantConv2d(3, 4, 3, weight_quant=Int8WeightPerChannelFloatMSE)
    other = copy.deepcopy(layer).double()
    weight = torch.randn(4, 3, 3, 3)
    for each in (layer, other):
        each.weight.data.copy_(weight)
    x = torch.randn(1, 3, 5, 5)
    torch.testing.assert_close(other(x.double()).float(), layer(x), rtol=1e-4, atol=1e-4)
