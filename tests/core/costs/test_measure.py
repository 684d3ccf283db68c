"""Costs of small models, against figures calculated by hand."""

import pytest
import torch
from torch import nn

from qat.costs import measure_costs
from qat.nn import (
    QuantConv2d,
    QuantEmbedding,
    QuantIdentity,
    QuantLinear,
    QuantLSTM,
    QuantMultiheadAttention,
    QuantReLU,
)
from qat.quantizers import (
    Int8WeightPerChannelFloat,
    MXInt8Weight,
    ShiftedUint8WeightGroupQuantFloat,
    ShiftedUint8WeightPerTensorFloat,
    SignedBinaryWeightPerTensorConst,
    SignedTernaryWeightPerTensorConst,
)
from qat_cli.models.resnet import resnet20


def by_name(costs):
    return {layer.name: layer for layer in costs.layers}


def two_layers():
    """Images 1x4x4: 4 bit weights on 8 bit images, then 1 bit weights on 2 bit activations."""
    return nn.Sequential(
        QuantIdentity(bit_width=8),
        QuantConv2d(
            1, 2, 3, bias=False, weight_quant=Int8WeightPerChannelFloat, weight_bit_width=4
        ),
        QuantReLU(bit_width=2),
        nn.Flatten(),
        QuantLinear(8, 3, weight_quant=SignedBinaryWeightPerTensorConst),
    )


def test_two_layers_cost_what_a_hand_calculation_says():
    costs = measure_costs(two_layers(), torch.zeros(1, 1, 4, 4))
    conv, linear = by_name(costs)["1"], by_name(costs)["4"]
    assert (conv.macs, conv.weight_bits, conv.input_bits) == (2 * 2 * 2 * 9, 4, 8)
    assert conv.bit_operations == 72 * 4 * 8
    assert conv.packed_bits == 18 * 4 + 2 * 32  # two channels, a float scale each
    assert (linear.macs, linear.weight_bits, linear.input_bits) == (24, 1, 2)
    assert linear.packed_bits == 24 * 1 + 32 + 3 * 32  # the bias stays in float
    assert costs.parameters == 18 + 27
    assert costs.float_bytes == 45 * 4
    assert costs.packed_bytes == (136 + 152 + 2 * 32) / 8  # and two activation scales
    assert costs.float_bit_operations == (72 + 24) * 1024
    assert costs.compression == pytest.approx(180 / 44)


def test_resnet20_has_its_published_multiplications_and_parameters():
    # He et al. 2016, arXiv:1512.03385: 0.27 M parameters; 40.55 M multiplications without the two
    # 1x1 convolutions that this one has as shortcuts.
    costs = measure_costs(resnet20(), torch.zeros(1, 3, 32, 32))
    shortcuts = sum(layer.macs for layer in costs.layers if "shortcut" in layer.name)
    assert costs.macs - shortcuts == 40_551_040
    assert shortcuts == 2 * 16 * 16 * 16 * 32
    assert costs.parameters == 272_474
    assert costs.compression == 1.0 and costs.bit_operations == costs.float_bit_operations


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv1d(2, 4, 3, groups=2), (1, 2, 5), 4 * 3 * 3),
        (nn.Conv3d(1, 2, 2), (1, 1, 3, 3, 3), 2 * 8 * 8),
        (nn.ConvTranspose2d(3, 2, 2, stride=2), (1, 3, 4, 4), 3 * 16 * 2 * 4),
        (nn.Linear(4, 5), (1, 7, 4), 7 * 20),
        (nn.LSTM(3, 5), (7, 1, 3), 7 * 4 * 5 * (3 + 5)),
        (nn.RNN(3, 5), (7, 1, 3), 7 * 5 * (3 + 5)),
        (QuantLSTM(3, 5), (7, 1, 3), 7 * 4 * 5 * (3 + 5)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_every_kind_of_layer_is_counted(layer, shape, macs):
    costs = measure_costs(nn.ModuleDict({"own": layer})["own"], torch.zeros(shape))
    assert costs.macs == macs


@pytest.mark.parametrize("kind", [nn.MultiheadAttention, QuantMultiheadAttention])
def test_attention_is_one_row_with_projections_and_both_products(kind):
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = kind(8, 2)

        def forward(self, x):
            return self.attention(x, x, x)[0]

    costs = measure_costs(Attends(), torch.zeros(5, 1, 8))
    row = by_name(costs)["attention"]
    assert row.macs == 5 * 8 * 4 * 8 + 2 * 5 * 5 * 8  # four projections; scores, weighted sum
    assert row.parameters == 4 * 8 * 8 + 4 * 8
    bits = 8 if kind is QuantMultiheadAttention else 32
    assert row.bit_operations == row.macs * bits * bits


def test_hidden_states_that_begin_at_zero_have_the_bits_of_the_input():
    costs = measure_costs(QuantLSTM(3, 5, weight_bit_width=4), torch.zeros(7, 1, 3))
    assert costs.bit_operations == costs.macs * 4 * 8


def test_products_outside_of_layers_are_counted_and_other_work_is_listed():
    class Squares(nn.Module):
        def forward(self, x):
            return torch.fft.rfft(x @ x).real.exp()

    costs = measure_costs(Squares(), torch.zeros(4, 4))
    assert costs.macs == 64 and costs.layers[0].name == ""
    listed = {other.operation: other.elements for other in costs.not_counted}
    assert listed == {"fft_r2c": 12, "exp": 12}


def test_bits_follow_a_value_through_what_only_moves_it():
    class Moves(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.pool = QuantIdentity(bit_width=3), nn.MaxPool2d(2)
            self.on_grid, self.off_grid = nn.Linear(8, 1), nn.Linear(8, 1)

        def forward(self, x):
            x = self.pool(self.quant(x)).flatten(1)
            x = torch.cat([x, x.flip(1)], 1)
            return self.on_grid(x) + self.off_grid(x * 1.1)

    rows = by_name(measure_costs(Moves(), torch.zeros(1, 1, 4, 4)))
    assert (rows["on_grid"].input_bits, rows["off_grid"].input_bits) == (3, 32)


@pytest.mark.parametrize(
    ("quantizer", "bits"),
    [
        (SignedTernaryWeightPerTensorConst, 128 * 2 + 32),
        (ShiftedUint8WeightPerTensorFloat, 128 * 8 + 32 + 8),  # a zero point of 8 bits
        (ShiftedUint8WeightGroupQuantFloat, 128 * 8 + 4 * (32 + 8)),  # per group of 32
        (MXInt8Weight, 128 * 8 + 4 * 8),  # scales that are powers of two: an exponent
        (None, 128 * 32),
    ],
)
def test_scales_and_zero_points_are_packed_as_what_they_are(quantizer, bits):
    torch.manual_seed(0)
    layer = QuantLinear(64, 2, bias=False, weight_quant=quantizer)
    with torch.no_grad():
        layer.weight.add_(0.1)  # to one side of zero
    costs = measure_costs(nn.Sequential(layer), torch.zeros(1, 64))
    assert costs.packed_bytes * 8 == bits


def test_an_embedding_is_packed_and_looks_up_without_products():
    model = nn.Sequential(QuantEmbedding(10, 4, weight_bit_width=4), nn.Linear(4, 2))
    rows = by_name(measure_costs(model, torch.zeros(1, dtype=torch.int64)))
    assert rows["0"].macs == 0 and rows["0"].packed_bits == 40 * 4 + 32
    assert rows["1"].input_bits == 4


def test_a_layer_that_the_example_does_not_reach_is_named():
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.used(x)

    costs = measure_costs(Skips(), torch.zeros(1, 2))
    assert costs.not_reached == ["unused"] and costs.parameters == 12


def test_a_weight_of_two_layers_is_stored_once():
    model = nn.Sequential(QuantLinear(4, 4, bias=False), QuantLinear(4, 4, bias=False))
    model[1].weight = model[0].weight
    costs = measure_costs(model, torch.zeros(1, 4))
    assert costs.parameters == 16 and costs.macs == 32
    assert costs.packed_bytes * 8 == 16 * 8 + 2 * 32


def test_the_model_is_left_as_it_was():
    model = two_layers().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    measure_costs(model, torch.ones(1, 1, 4, 4))
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in after)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
