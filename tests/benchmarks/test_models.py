"""The sweep over classifiers of torchvision."""

import pytest
import torch

from benchmarks.independent import quantized_by_hooks
from benchmarks.models import MOST_PARAMETERS, decibels, measure, torchvision_models

FEW = ["resnet18", "googlenet", "shufflenet_v2_x0_5"]


def check(result):
    assert result.difference <= 1e-5
    assert result.quantized >= result.layers
    assert not any(failure for failure in result.failed if "dB" not in failure), result.failed
    for size, found in result.decibels.items():
        assert found > 20 or found > result.independent[size] - 5


@pytest.mark.parametrize("name", FEW)
def test_converts_in_full_and_is_the_same_function_in_float(name):
    ((found, model, _),) = torchvision_models(name)
    assert found == name
    check(measure(name, model, 64))


@pytest.mark.slow
def test_every_classifier_converts_in_full_and_is_the_same_function_in_float():
    for name, model, size in torchvision_models("*"):
        result = measure(name, model, size)
        print(name, result.decibels, result.failed)
        check(result)


def test_the_independent_quantization_is_8_bit_per_channel_and_leaves_the_model():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    before, x = model[0].weight.clone(), torch.randn(8, 3, 9, 9)
    made = quantized_by_hooks(model, [x])
    assert torch.equal(model[0].weight, before)
    with torch.no_grad():
        for channel, given in zip(made[0].weight, before, strict=True):
            steps = channel / (given.abs().max() / 127)
            torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
        assert 30 < decibels(model(x), made(x)) < 60


def test_models_of_more_parameters_are_left_out():
    assert not [*torchvision_models("vit_l_16")] and MOST_PARAMETERS == 150e6
