"""Bit widths set from outside: rebuilt, kept, refused."""

import pytest
import torch

from qat import quantizers
from qat.nn import QuantIdentity, QuantLinear


def levels(values):
    return len(values.unique())


def trained(layer, x):
    """``layer`` after a statistics phase on ``x``."""
    for _ in range(4):
        layer.train()(x)
    return layer.eval()


def test_a_weight_has_a_grid_of_the_width_that_is_set_and_then_its_own_again():
    layer = QuantLinear(64, 4, weight_quant=quantizers.Int8WeightPerTensorFloatMSE)
    declared = layer.quant_weight().value
    learned = layer.weight_quant.tensor_quant.scaling_impl.value
    layer.weight_quant.set_bit_width(2)
    assert levels(layer.quant_weight().value) == 3 and layer.weight_quant.bit_width_set == 2
    assert layer.weight_quant.tensor_quant.scaling_impl.value is learned
    layer.weight_quant.set_bit_width(None)
    torch.testing.assert_close(layer.quant_weight().value, declared)


def test_loading_a_state_dict_keeps_the_width_that_is_set():
    layer, other = (QuantLinear(8, 4, weight_bit_width=4) for _ in range(2))
    layer.weight_quant.set_bit_width(2)
    layer.load_state_dict(other.state_dict())
    assert int(layer.weight_quant.bit_width()) == 2


@pytest.mark.parametrize(
    "quantizer", [quantizers.Uint8ActPerTensorFloat, quantizers.LSQUnsignedAct]
)
def test_activations_keep_their_range_on_another_grid(quantizer):
    """The largest number, scale times largest integer: a threshold stays, a step is longer."""
    quantizer = quantizer.let(bit_width=8, collect_stats_steps=2)
    layer = trained(QuantIdentity(quantizer), torch.rand(2, 100) * 3)
    before = layer.act_quant.scale().detach() * 255
    layer.act_quant.set_bit_width(4)
    torch.testing.assert_close(layer.act_quant.scale().detach() * 15, before)
    torch.testing.assert_close(layer(torch.tensor(99.0)).detach(), before)


BINARY = [
    quantizers.SignedBinaryWeightPerTensorConst,
    quantizers.SignedBinaryWeightPerChannelStats,
    quantizers.SignedBinaryWeightPerChannelParam,
    quantizers.XNORWeight,
    quantizers.BiRealWeight,
]


@pytest.mark.parametrize("quantizer", BINARY, ids=[each.__name__ for each in BINARY])
def test_a_binary_weight_on_more_bits_is_a_symmetric_integer_with_the_same_parameters(quantizer):
    layer = QuantLinear(64, 1, weight_quant=quantizer)
    names = set(layer.state_dict())
    layer.weight_quant.set_bit_width(3)
    grid = layer.quant_weight()
    assert set(grid.int().unique().tolist()) <= set(range(-3, 4)) and levels(grid.value) > 2
    assert set(layer.state_dict()) == names
    layer.weight_quant.set_bit_width(None)
    assert levels(layer.quant_weight().value) == 2


def test_where_a_binary_weight_takes_the_mean_a_wider_grid_reaches_to_the_largest():
    layer = QuantLinear(64, 1, weight_quant=quantizers.SignedBinaryWeightPerTensorStats)
    layer.weight_quant.set_bit_width(4)
    largest = layer.weight.abs().max()
    torch.testing.assert_close(layer.quant_weight().value.abs().max(), largest)


@pytest.mark.parametrize(
    ("quantizer", "match"),
    [
        (quantizers.TWNWeight, "TWNWeight has 2 bits, whatever bit_width says"),
        (quantizers.IRNetWeight, "IRNetWeight has 1 bits, whatever bit_width says"),
        (
            quantizers.Int8WeightPerTensorFloat.let(bit_width_impl_type="parameter"),
            "learns its bit width",
        ),
        (quantizers.Fp8e4m3WeightPerTensorFloat, "has no bit width to set"),
    ],
)
def test_a_width_that_a_quantizer_cannot_have_is_refused_and_nothing_changes(quantizer, match):
    layer = QuantLinear(8, 4, weight_quant=quantizer)
    before = layer.quant_weight().value
    with pytest.raises(ValueError, match=match):
        layer.weight_quant.set_bit_width(9)
    assert layer.weight_quant.bit_width_set is None
    torch.testing.assert_close(layer.quant_weight().value, before)
