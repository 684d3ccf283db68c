"""Quantizers of ``quant_type`` ``"fp"``: none is built, and layers behave as with None."""

import copy
import pickle

import pytest
import torch
from torch import nn

from qat import QuantTensor
from qat.nn import ClampQuantAccumulator, QuantIdentity, QuantLinear, TruncQuantAccumulator
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    NoneActQuant,
    NoneBiasQuant,
    NoneClampQuant,
    NoneTruncQuant,
    NoneWeightQuant,
)

NONE = {
    "weight_quant": NoneWeightQuant,
    "bias_quant": NoneBiasQuant,
    "input_quant": NoneActQuant,
    "output_quant": NoneActQuant,
}


def linear(**quantizers):
    torch.manual_seed(0)
    return QuantLinear(3, 2, **quantizers)


def test_a_layer_without_quantizers_is_the_float_layer(backend):
    layer, x = linear(**NONE), torch.randn(4, 3)
    floats = nn.Linear(3, 2)
    floats.load_state_dict(layer.state_dict(), strict=True)
    assert torch.equal(layer(x), floats(x))
    assert not layer.has_quantizers()


@pytest.mark.parametrize("role", NONE)
def test_it_says_what_none_says(role):
    proxy, other = (getattr(linear(**{role: quant}), role) for quant in (NONE[role], None))
    assert proxy.is_quant_enabled is other.is_quant_enabled is False
    assert proxy.is_identity and other.is_identity
    assert proxy.scale() is proxy.zero_point() is proxy.bit_width() is None
    assert "float" in repr(proxy)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_it_is_copied_pickled_and_loaded(copied):
    layer, x = linear(**NONE), torch.randn(4, 3)
    twin = copied(layer)
    twin.load_state_dict(layer.state_dict(), strict=True)
    assert torch.equal(twin(x), layer(x))


def test_a_quantizer_is_switched_off_by_its_quant_type():
    off = {
        "weight_quant": Int8WeightPerTensorFloat,
        "bias_quant": Int32Bias,
        "input_quant": Int8ActPerTensorFloat,
    }
    types = {f"{role.removesuffix('quant')}quant_type": "fp" for role in off}
    layer, x = linear(**off, **types), torch.randn(4, 3)
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


def test_attributes_make_a_quantizer_of_it():
    words = {"quant_type": "int", "scaling_impl_type": "stats", "scaling_stats_op": "max"}
    words |= {"signed": True, "narrow_range": True, "bit_width": 8}
    layer = linear(
        weight_quant=NoneWeightQuant, **{f"weight_{key}": item for key, item in words.items()}
    )
    expected = linear(weight_quant=Int8WeightPerTensorFloat)
    assert torch.equal(layer.quant_weight().value, expected.quant_weight().value)


@pytest.mark.parametrize(
    "layer", [TruncQuantAccumulator(NoneTruncQuant), ClampQuantAccumulator(NoneClampQuant)]
)
def test_accumulators_pass_as_they_are(layer):
    x = QuantTensor(torch.randn(3), 1.0, 0.0, 12.0, True)
    assert layer(x) is x
    assert layer(x.value) is x.value


def test_an_activation_keeps_its_function():
    x = torch.randn(4)
    out = QuantIdentity(NoneActQuant, return_quant_tensor=True)(x)
    assert torch.equal(out.value, x) and out.missing
