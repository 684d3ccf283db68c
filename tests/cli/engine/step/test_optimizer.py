"""Groups of parameters, learning rates, the clamp of latent weights."""

import pytest
import torch
from torch import nn

from qat.nn import QuantLinear
from qat_cli.engine.step.optimizer import (
    binary_weights,
    clamp_latent,
    forget,
    make_optimizer,
    set_learning_rate,
)
from qat_cli.engine.step.schedule import Schedule
from qat_cli.recipes.schema import OptimizerConfig, ScheduleConfig


class WithScale(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.scaling_impl = nn.ParameterDict({"value": nn.Parameter(torch.ones(2, 1, 1, 1))})


def test_only_matrices_are_decayed_and_scales_have_their_own_settings():
    config = OptimizerConfig(lr=0.1, weight_decay=0.01, scale_lr=0.001, scale_weight_decay=0.5)
    model = WithScale()
    groups = make_optimizer(model, config).param_groups
    found = {id(p): (g["peak_lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert found[id(model.conv.weight)] == (0.1, 0.01)
    assert found[id(model.conv.bias)] == (0.1, 0.0)
    assert found[id(model.scaling_impl["value"])] == (0.001, 0.5)
    assert len(found) == 3


def test_what_a_quantizer_learns_beside_its_scale_is_not_decayed():
    model = nn.Sequential(QuantLinear(3, 2, weight_float_to_int_impl_type="learned_round"))
    groups = make_optimizer(model, OptimizerConfig(lr=0.1, weight_decay=0.01)).param_groups
    decayed = [parameter for g in groups if g["weight_decay"] for parameter in g["params"]]
    assert [id(parameter) for parameter in decayed] == [id(model[0].weight)]


def test_what_quantizers_learn_and_latent_weights_have_their_own_settings():
    from qat.quantizers import SignedBinaryWeightPerChannelParam

    binary = QuantLinear(3, 2, weight_quant=SignedBinaryWeightPerChannelParam)
    learned = QuantLinear(3, 2, weight_bit_width_impl_type="parameter")
    model = nn.Sequential(binary, learned)
    config = OptimizerConfig(
        lr=0.1, weight_decay=0.01, latent_weight_decay=0.0, bit_width_lr=2.0,
        bit_width_weight_decay=0.3,
    )  # fmt: skip
    groups = make_optimizer(model, config).param_groups
    found = {id(p): (g["peak_lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    bits = learned.weight_quant.tensor_quant.msb_clamp_bit_width_impl.bit_width_offset
    assert found[id(binary.weight)] == (0.1, 0.0) and found[id(learned.weight)] == (0.1, 0.01)
    assert found[id(bits)] == (2.0, 0.3)
    binary.weight_quant.set_bit_width(8)  # declared binary, whatever it is on the way
    again = make_optimizer(model, config).param_groups
    assert [g["kind"] for g in again] == [g["kind"] for g in groups]
    default = make_optimizer(model, OptimizerConfig(weight_decay=0.01)).param_groups
    assert [g["weight_decay"] for g in default if g["kind"] == "latent weights"] == [0.01]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_parameter_that_is_forgotten_goes_on_as_from_a_first_step(name):
    """Compared with one that is new to its optimizer."""
    old, new = (nn.Parameter(torch.zeros(2)) for _ in range(2))
    config = OptimizerConfig(name=name, lr=0.1)
    optimizers = [make_optimizer(nn.ParameterList([each]), config) for each in (old, new)]
    old.grad = torch.tensor([5.0, -1.0])
    optimizers[0].step()
    forget(optimizers[0], [old])
    with torch.no_grad():
        old.zero_()
    for parameter, optimizer in zip((old, new), optimizers, strict=True):
        parameter.grad = torch.tensor([1.0, 2.0])
        optimizer.step()
    torch.testing.assert_close(old, new)


def test_every_group_follows_the_schedule_from_its_own_peak():
    optimizer = make_optimizer(WithScale(), OptimizerConfig(lr=0.1, scale_lr=0.01))
    set_learning_rate(optimizer, Schedule(ScheduleConfig(), 10, 10), step=50)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.05, 0.005])


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_every_optimizer_makes_a_step(name):
    model = WithScale()
    optimizer = make_optimizer(model, OptimizerConfig(name=name, momentum=0.0, nesterov=True))
    before = model.conv.weight.clone()
    model.conv(torch.ones(1, 1, 3, 3)).sum().backward()
    optimizer.step()
    assert not torch.equal(model.conv.weight, before)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_step_is_that_of_torch_whatever_the_layout(name):
    """Compared with torch's own unfused optimizer, fed the same gradients."""
    config = OptimizerConfig(name=name, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    model = nn.Conv2d(3, 4, 3, bias=False).to(memory_format=torch.channels_last)
    plain = nn.Parameter(model.weight.detach().contiguous())
    method = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    momentum = {"momentum": 0.9, "nesterov": True} if name == "sgd" else {}
    expected = method([plain], lr=0.1, weight_decay=0.01, fused=False, foreach=False, **momentum)
    images = torch.randn(2, 3, 8, 8)
    model(images.contiguous(memory_format=torch.channels_last)).square().sum().backward()
    plain.grad = model.weight.grad.contiguous()
    optimizer = make_optimizer(model, config)
    for _ in range(3):
        optimizer.step()
        expected.step()
    torch.testing.assert_close(model.weight.contiguous(), plain)


def test_the_latent_weights_of_binary_layers_are_found_and_clamped():
    from qat.nn import QuantConv2d
    from qat.quantizers import SignedBinaryWeightPerTensorConst

    binary = QuantConv2d(1, 1, 3, weight_quant=SignedBinaryWeightPerTensorConst)
    model = nn.Sequential(nn.Conv2d(1, 1, 3), binary, QuantConv2d(1, 1, 3))
    found = binary_weights(model)
    assert [id(weight) for weight in found] == [id(binary.weight)]
    with torch.no_grad():
        binary.weight.fill_(3)
    clamp_latent(found, 1.0)
    assert (binary.weight == 1).all()
    clamp_latent(found, None)
