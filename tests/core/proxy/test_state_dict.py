"""State dicts: float and quantized, strict and forgiving."""

import pytest
import torch
from torch import nn

from qat import config
from qat.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from qat.nn.activation import QuantActivation
from qat.quantizers import Int8ActPerTensorFloat, Int8WeightPerChannelFloatMSE

SCALE = "weight_quant.tensor_quant.scaling_impl.value"


#: Native ops have no part in this; TorchScript has its own way of holding parameters.
python_and_jit = pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)


def linear(**keywords):
    return QuantLinear(4, 3, weight_scaling_impl_type="parameter_from_stats", **keywords)


def network():
    """A network with learned scales of weights and activations; the activations have seen data."""
    model = nn.Sequential(
        QuantConv2d(2, 3, 3, weight_quant=Int8WeightPerChannelFloatMSE),
        QuantReLU(collect_stats_steps=2),
        QuantConv2d(3, 2, 1, input_quant=Int8ActPerTensorFloat, input_collect_stats_steps=2),
    )
    for _ in range(3):
        model(torch.randn(2, 2, 5, 5))
    return model


def test_float_checkpoint_recomputes_learned_scales(monkeypatch):
    layer, floats = linear(), nn.Linear(4, 3)
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    layer.load_state_dict(floats.state_dict())
    torch.testing.assert_close(layer.quant_weight_scale(), floats.weight.abs().max() / 127)


@python_and_jit
def test_quantized_checkpoint_restores_learned_scales_exactly(backend):
    trained, fresh = linear(), linear()
    with torch.no_grad():
        trained.weight_quant.tensor_quant.scaling_impl.value.mul_(0.3)
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh.quant_weight_scale(), trained.quant_weight_scale())
    assert torch.equal(fresh.quant_weight().value, trained.quant_weight().value)


@python_and_jit
def test_a_trained_network_is_restored_exactly(backend, tmp_path):
    trained, fresh = network(), network()
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    x = torch.randn(2, 2, 5, 5)
    assert torch.equal(fresh.eval()(x), trained.eval()(x))
    assert torch.equal(fresh.train()(x), trained.train()(x))
    assert fresh.state_dict().keys() == trained.state_dict().keys()


@python_and_jit
def test_a_network_restored_amid_its_statistics_goes_on_as_if_uninterrupted(backend):
    batches = torch.randn(5, 6)
    whole = QuantIdentity(collect_stats_steps=3)
    first = QuantIdentity(collect_stats_steps=3)
    for batch in batches[:2]:
        whole(batch)
        first(batch)
    resumed = QuantIdentity(collect_stats_steps=3)
    resumed.load_state_dict(first.state_dict())
    for batch in batches[2:]:
        assert torch.equal(whole(batch), resumed(batch))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


@python_and_jit
def test_a_finished_network_goes_back_to_its_statistics_with_an_early_state_dict(backend):
    layer = QuantIdentity(collect_stats_steps=2)
    untouched = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    for _ in range(3):
        layer(torch.randn(8))
    layer.load_state_dict(untouched)
    layer(torch.full((8,), 5.0))
    torch.testing.assert_close(layer.quant_act_scale(), torch.tensor(5.0 / 128))


@python_and_jit
def test_without_reinit_a_float_checkpoint_leaves_the_scale_as_it_was(backend, monkeypatch):
    layer, floats = linear(), nn.Linear(4, 3)
    before = layer.quant_weight_scale().detach().clone()
    quantizer = layer.weight_quant.tensor_quant
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    monkeypatch.setattr(config, "REINIT_ON_STATE_DICT_LOAD", False)
    layer.load_state_dict(floats.state_dict())
    assert torch.equal(layer.weight, floats.weight)
    assert torch.equal(layer.quant_weight_scale(), before)
    assert layer.weight_quant.tensor_quant is quantizer


def test_without_reinit_a_quantized_checkpoint_is_loaded_all_the_same(monkeypatch):
    trained, fresh = linear(), linear()
    monkeypatch.setattr(config, "REINIT_ON_STATE_DICT_LOAD", False)
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh.quant_weight_scale(), trained.quant_weight_scale())


def test_without_reinit_activation_statistics_survive_a_float_checkpoint(monkeypatch):
    model = network()
    before = [model[1].quant_act_scale().clone(), model[2].input_quant.scale().clone()]
    floats = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 1))
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    monkeypatch.setattr(config, "REINIT_ON_STATE_DICT_LOAD", False)
    model.load_state_dict(floats.state_dict())
    after = [model[1].quant_act_scale(), model[2].input_quant.scale()]
    assert all(map(torch.equal, before, after))


@python_and_jit
def test_a_missing_learned_scale_is_an_error_that_names_it(backend):
    with pytest.raises(RuntimeError, match=f'Missing key.*"{SCALE}"'):
        linear().load_state_dict(nn.Linear(4, 3).state_dict())


def test_strict_false_reports_what_is_missing():
    outcome = linear().load_state_dict(nn.Linear(4, 3).state_dict(), strict=False)
    assert outcome.missing_keys == [SCALE]


def test_ignoring_missing_keys_leaves_only_those_that_are_no_quantizers(monkeypatch):
    model = nn.Sequential(linear(), QuantReLU(), nn.BatchNorm1d(3))
    state = model.state_dict()
    without = {k: v for k, v in state.items() if "tensor_quant" not in k and k != "2.running_mean"}
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    with pytest.raises(RuntimeError) as raised:
        model.load_state_dict(without)
    assert str(raised.value).endswith('Missing key(s) in state_dict: "2.running_mean". ')


def test_ignoring_missing_keys_does_not_forgive_those_of_an_activation_function(monkeypatch):
    layer = QuantActivation(nn.PReLU(), Int8ActPerTensorFloat)
    state = {name: t for name, t in layer.state_dict().items() if "activation_impl" not in name}
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    with pytest.raises(RuntimeError, match='Missing key.*"act_quant.activation_impl.weight"'):
        layer.load_state_dict(state)


def test_ignoring_missing_keys_does_not_forgive_a_learned_scale_of_another_shape(monkeypatch):
    per_channel = linear(weight_scaling_per_output_channel=True)
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    with pytest.raises(RuntimeError, match=f"size mismatch for {SCALE}"):
        per_channel.load_state_dict(linear().state_dict())


def test_ignoring_missing_keys_does_not_forgive_quantizer_keys_that_nobody_has(monkeypatch):
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    with pytest.raises(RuntimeError, match=f'Unexpected key.*"{SCALE}"'):
        QuantLinear(4, 3).load_state_dict(linear().state_dict())


def test_a_quantizer_loaded_by_itself_needs_no_layer_weights():
    trained, fresh = linear(), linear()
    fresh.weight_quant.load_state_dict(trained.weight_quant.state_dict())
    assert torch.equal(fresh.quant_weight_scale(), trained.quant_weight_scale())


@python_and_jit
@pytest.mark.parametrize("assign", [True, False])
def test_loading_by_assignment_rebuilds_from_the_assigned_weights(assign, backend, monkeypatch):
    layer, floats = linear(), nn.Linear(4, 3)
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    layer.load_state_dict(floats.state_dict(), assign=assign)
    torch.testing.assert_close(layer.quant_weight_scale(), floats.weight.abs().max() / 127)


@pytest.mark.parametrize("backend", ["jit"], indirect=True)
def test_state_dict_is_the_same_on_every_backend(backend, monkeypatch):
    here = {name: tensor.shape for name, tensor in network().state_dict().items()}
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    assert {name: tensor.shape for name, tensor in network().state_dict().items()} == here
