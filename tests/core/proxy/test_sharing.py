"""One proxy in several layers."""

import copy
import pickle

import pytest
import torch
from torch import nn

from qat import config
from qat.inject import value
from qat.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from qat.quantizers import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat


def pair(**keywords):
    first = QuantLinear(3, 2, **keywords)
    return first, QuantLinear(3, 2, weight_quant=first.weight_quant)


def largest(*layers):
    return max(layer.weight.detach().abs().max() for layer in layers)


def test_module_is_the_layer_then_the_tuple_in_the_order_of_sharing():
    seen = []

    class Recording(Int8WeightPerTensorFloat):
        scaling_impl_type = "parameter"

        @value
        def scaling_init(module):
            seen.append(module)
            return 1.0

    first = QuantLinear(3, 2, weight_quant=Recording)
    second = QuantLinear(3, 2, weight_quant=first.weight_quant)
    third = QuantLinear(3, 2, weight_quant=second.weight_quant)
    assert [m if isinstance(m, tuple) else (m,) for m in seen] == [
        (first,),
        (first, second),
        (first, second, third),
    ]
    assert seen[0] is first


def test_sharing_that_fails_leaves_the_first_layer_as_it_was():
    class OneModuleOnly(Int8WeightPerTensorFloat):
        scaling_impl_type = "parameter"

        @value
        def scaling_init(module):
            return module.weight.abs().max()

    first = QuantLinear(3, 2, weight_quant=OneModuleOnly)
    before = first.quant_weight_scale()
    with pytest.raises(AttributeError, match="'tuple' object has no attribute 'weight'"):
        QuantLinear(3, 2, weight_quant=first.weight_quant)
    assert first.weight_quant.tracked_modules == [first]
    first.weight_quant.init_tensor_quant()
    assert torch.equal(first.quant_weight_scale(), before)


@pytest.mark.parametrize("scaling_impl_type", ["stats", "parameter_from_stats"])
def test_a_shared_scale_is_that_of_all_weights(scaling_impl_type, backend):
    first, second = pair(weight_scaling_impl_type=scaling_impl_type)
    with torch.no_grad():
        second.weight.mul_(3.0)
    first.weight_quant.init_tensor_quant()
    expected = largest(first, second) / 127
    torch.testing.assert_close(first.quant_weight_scale(), expected)
    torch.testing.assert_close(second.quant_weight_scale(), expected)


def test_a_shared_scale_per_channel_is_that_of_each_channel_of_all_weights():
    first = QuantConv2d(3, 2, 3, weight_quant=Int8WeightPerChannelFloat)
    second = QuantConv2d(5, 2, 1, weight_quant=first.weight_quant)
    channels = [
        max(first.weight[c].abs().max(), second.weight[c].abs().max()).item() for c in range(2)
    ]
    expected = torch.tensor(channels).reshape(2, 1, 1, 1) / 127
    torch.testing.assert_close(first.quant_weight_scale(), expected)
    torch.testing.assert_close(second.quant_weight_scale(), expected)


def test_a_recomputed_shared_scale_follows_both_weights():
    first, second = pair()
    with torch.no_grad():
        second.weight[0, 0] = 50.0
    torch.testing.assert_close(first.quant_weight_scale(), torch.tensor(50.0 / 127))


def test_the_gradient_of_a_shared_scale_reaches_the_weight_that_sets_it():
    first, second = pair()
    with torch.no_grad():
        second.weight[0, 0] = 50.0
    first.quant_weight_scale().backward()
    assert torch.count_nonzero(first.weight.grad) == 0
    assert second.weight.grad[0, 0] == pytest.approx(1 / 127)


@pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)
def test_a_state_dict_of_the_pair_restores_both(backend):
    learned = {"weight_scaling_impl_type": "parameter_from_stats"}
    trained, fresh = nn.Sequential(*pair(**learned)), nn.Sequential(*pair(**learned))
    with torch.no_grad():
        trained[0].weight_quant.tensor_quant.scaling_impl.value.mul_(2.0)
    fresh.load_state_dict(trained.state_dict())
    x = torch.randn(4, 3)
    for ours, theirs in zip(fresh, trained, strict=True):
        assert torch.equal(ours(x), theirs(x))
        assert torch.equal(ours.quant_weight_scale(), theirs.quant_weight_scale())


@pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)
def test_float_checkpoints_of_the_pair_recompute_the_shared_scale(backend, monkeypatch):
    model = nn.Sequential(*pair(weight_scaling_impl_type="parameter_from_stats"))
    floats = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2))
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    model.load_state_dict(floats.state_dict())
    torch.testing.assert_close(model[0].quant_weight_scale(), largest(*floats) / 127)


# Assigning new parameter objects without a rebuild is left out: the quantizer knows the old ones.
@pytest.mark.parametrize(("assign", "reinit"), [(False, True), (False, False), (True, True)])
def test_a_recomputed_shared_scale_follows_loaded_weights(assign, reinit, monkeypatch):
    model = nn.Sequential(*pair())
    floats = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2))
    nn.init.constant_(floats[1].weight, 7.0)
    monkeypatch.setattr(config, "REINIT_ON_STATE_DICT_LOAD", reinit)
    model.load_state_dict(floats.state_dict(), assign=assign)
    torch.testing.assert_close(model[0].quant_weight_scale(), torch.tensor(7.0 / 127))


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["copy", "pickle"],
)
@pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)
def test_copies_of_the_pair_share_with_each_other_and_not_with_the_originals(copied, backend):
    model = nn.Sequential(*pair())
    twin = copied(model)
    assert twin[0].weight_quant is twin[1].weight_quant is not model[0].weight_quant
    assert twin[0].weight_quant.tracked_modules == list(twin)
    with torch.no_grad():
        twin[1].weight[0, 0] = 50.0
    torch.testing.assert_close(twin[0].quant_weight_scale(), torch.tensor(50.0 / 127))
    assert model[0].quant_weight_scale() < 0.01


def test_parameters_of_a_shared_quantizer_are_listed_once():
    model = nn.Sequential(*pair(weight_scaling_impl_type="parameter_from_stats"))
    assert len(list(model.parameters())) == 5  # two weights, two biases, one scale


def test_a_shared_activation_quantizer_collects_from_everybody():
    identity = QuantIdentity(collect_stats_steps=2, scaling_stats_momentum=None)
    layer = QuantLinear(3, 2, input_quant=identity.act_quant)
    identity(torch.full((4,), 1.0))
    layer(torch.full((1, 3), 3.0))
    torch.testing.assert_close(identity.quant_act_scale(), torch.tensor(2.0 / 128))


def test_a_layer_can_be_used_twice():
    relu = QuantReLU(collect_stats_steps=2, scaling_stats_momentum=None)
    relu(torch.full((4,), 1.0))
    relu(torch.full((4,), 3.0))
    torch.testing.assert_close(relu.quant_act_scale(), torch.tensor(2.0 / 255))
