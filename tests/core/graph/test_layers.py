"""The table of layers and the forms of activations."""

import pytest
import torch
from torch import Tensor, nn

import qat.nn as qnn
from qat.graph.layers import ACTIVATION_LAYERS, ACTIVATIONS, FUNCTION_NAMES, WEIGHT_LAYERS

X = torch.linspace(-4.0, 4.0, 33)
EVERY_ACTIVATION = pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda each: each.name)


def test_quantized_layers_are_found_by_torchs_layer():
    assert WEIGHT_LAYERS[nn.Conv2d] is qnn.QuantConv2d
    assert WEIGHT_LAYERS[nn.Embedding] is qnn.QuantEmbedding
    assert ACTIVATION_LAYERS[nn.GELU] is qnn.QuantGELU
    assert all(kind.__module__.startswith("torch.nn.") for kind in WEIGHT_LAYERS)


@EVERY_ACTIVATION
def test_all_forms_of_an_activation_compute_the_same(activation):
    expected = activation.make()(X)
    for function in activation.functions:
        assert torch.equal(function(X.clone()), expected), function
    for method in activation.methods:
        assert torch.equal(getattr(X.clone(), method)(), expected), method


@pytest.mark.parametrize(
    "activation",
    [each for each in ACTIVATIONS if each.functions],  # PReLU is called with its weight
    ids=lambda each: each.name,
)
def test_methods_of_tensors_are_among_the_forms(activation):
    name = activation.name.lower()
    assert set(activation.methods) == {each for each in (name, f"{name}_") if hasattr(Tensor, each)}
    for method in activation.methods:
        assert FUNCTION_NAMES[getattr(Tensor, method)] == activation.name


@EVERY_ACTIVATION
def test_an_activation_is_signed_where_it_gives_negative_values(activation):
    assert activation.signed is bool((activation.make()(X) < 0).any())


def test_a_module_is_made_of_the_arguments_of_a_function_out_of_place():
    activation = next(each for each in ACTIVATIONS if each.module is nn.Hardtanh)
    made = activation.make(-2.0, 3.0, inplace=True)
    assert (made.min_val, made.max_val, made.inplace) == (-2.0, 3.0, False)
    assert activation.arguments(-2.0, inplace=True)["inplace"] is True
