"""An optimizer made before a rebuild updates the parameters in use."""

import pytest
import torch
from torch import nn

from qat import config
from qat.nn import QuantLinear, QuantReLU

OPTIMIZERS = {
    "sgd_with_momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
}


python_and_jit = pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)


def learning_model():
    """A model in which the scales of weight and activation are learned from the start."""
    model = nn.Sequential(
        QuantLinear(4, 3, weight_scaling_impl_type="parameter_from_stats", weight_bit_width=3),
        QuantReLU(collect_stats_steps=1, bit_width=3),
    )
    model(torch.randn(8, 4))
    return model


def train_one_step(model, optimizer):
    optimizer.zero_grad()
    (model(torch.randn(8, 4)) - 1.0).square().sum().backward()
    optimizer.step()


def load_float(model):
    floats = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    nn.init.uniform_(floats[0].weight, 0.5, 1.0)
    model.load_state_dict(floats.state_dict())
    model(torch.randn(8, 4).abs())  # the activation takes its statistics anew


def load_quantized(model):
    model.load_state_dict(learning_model().state_dict())


def rebuild(model):
    nn.init.uniform_(model[0].weight, 0.5, 1.0)
    model[0].weight_quant.init_tensor_quant()
    model[1].act_quant.init_tensor_quant()
    model(torch.randn(8, 4).abs())


# What TorchScript does differently is to hold parameters; native ops have no part in this.
@pytest.mark.parametrize(
    "change, trained_before, optimizer_name, backend",
    [
        (load_float, True, "adam", "python"),
        (load_float, False, "sgd_with_momentum", "python"),
        (load_quantized, True, "sgd_with_momentum", "python"),
        (load_quantized, False, "adam", "python"),
        (rebuild, True, "adam", "python"),
        (rebuild, False, "sgd_with_momentum", "python"),
        (load_float, True, "sgd_with_momentum", "jit"),
        (load_quantized, True, "adam", "jit"),
        (rebuild, True, "adam", "jit"),
    ],
    indirect=["backend"],
)
def test_every_parameter_in_use_is_updated_after_a_rebuild(
    change, trained_before, optimizer_name, backend, monkeypatch
):
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    model = learning_model()
    optimizer = OPTIMIZERS[optimizer_name](model.parameters())
    if trained_before:
        train_one_step(model, optimizer)
    change(model)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert {id(parameter) for parameter in model.parameters()} == held
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    assert "0.weight_quant.tensor_quant.scaling_impl.value" in before
    assert "1.act_quant.tensor_quant.scaling_impl.value" in before
    train_one_step(model, optimizer)
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), f"{name} was not updated"


@python_and_jit
def test_what_is_updated_is_what_is_used(backend, monkeypatch):
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    model = learning_model()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    load_float(model)
    before = model[0].quant_weight_scale().item(), model[1].quant_act_scale().item()
    train_one_step(model, optimizer)
    after = model[0].quant_weight_scale().item(), model[1].quant_act_scale().item()
    assert before[0] != after[0] and before[1] != after[1]


@python_and_jit
def test_an_optimizer_made_before_sharing_updates_the_shared_scale(backend):
    first = QuantLinear(4, 3, weight_scaling_impl_type="parameter_from_stats")
    optimizer = OPTIMIZERS["sgd_with_momentum"](first.parameters())
    second = QuantLinear(4, 3, weight_quant=first.weight_quant)
    before = second.quant_weight_scale().item()
    second(torch.randn(8, 4)).square().sum().backward()
    optimizer.step()
    assert second.quant_weight_scale().item() != before


def test_a_learned_parameter_that_changes_its_shape_is_said():
    layer = QuantLinear(4, 3, weight_scaling_impl_type="parameter_from_stats")
    proxy = layer.weight_quant
    proxy.injector = proxy.injector.let(scaling_per_output_channel=True)
    with pytest.warns(RuntimeWarning, match=r"scaling_impl.value changed its shape .*optimizer"):
        proxy.init_tensor_quant()
    assert layer.quant_weight_scale().shape == (3, 1)


def test_rebuilding_keeps_gradients_and_requires_grad():
    layer = QuantLinear(4, 3, weight_scaling_impl_type="parameter_from_stats")
    scale = layer.weight_quant.tensor_quant.scaling_impl.value
    scale.requires_grad_(False)
    layer.weight_quant.init_tensor_quant()
    assert layer.weight_quant.tensor_quant.scaling_impl.value is scale
    assert not scale.requires_grad
