"""Transposed convolutions and embeddings in a conversion."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat import QuantTensor
from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, UnmatchedRuleError, quantize_model
from qat.nn import QuantConvTranspose2d, QuantEmbedding, QuantLinear

WEIGHT = QuantizerChoice("Int8WeightPerTensorFloat")
SIGNED = QuantizerChoice("Int8ActPerTensorFloat")


def rule(choices, match=None, **kwargs):
    return Rule("quant", match or LayerMatch(), choices, **kwargs)


EVERYTHING = rule({Role.WEIGHT: WEIGHT, Role.INPUT: SIGNED})


class Decoder(nn.Module):
    """Calls its layers by keyword and with a size, as user code does."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1)

    def forward(self, x):
        return self.up(input=F.relu(self.conv(input=x)), output_size=x.shape[2:])


class Words(nn.Module):
    def __init__(self, data_dependent=False, **arguments):
        super().__init__()
        self.table = nn.Embedding(11, 4, **arguments)
        self.head = nn.Linear(4, 2)
        self.data_dependent = data_dependent

    def forward(self, x):
        if self.data_dependent and x.sum() < 0:
            return x
        return self.head(self.table(x))


def kinds(quantized):
    return {row.name: row.kind for row in quantized.layers}


@pytest.mark.parametrize("size", [6, 7])
def test_transposed_convolution_is_converted_and_keeps_its_output_size(size):
    model, x = Decoder(), torch.randn(2, 3, size, size)
    quantized = quantize_model(model, [rule({Role.WEIGHT: WEIGHT})], x)
    assert kinds(quantized) == {
        "conv": "QuantConv2d",
        "relu": "ReLU",
        "up": "QuantConvTranspose2d",
    }
    up = quantized.model.up
    assert isinstance(up, QuantConvTranspose2d) and up.weight is model.up.weight
    w = {
        name: torch.round(layer.weight.double() / (layer.weight.abs().max() / 127))
        * (layer.weight.abs().max() / 127)
        for name, layer in (("conv", model.conv), ("up", model.up))
    }
    y = F.conv2d(x.double(), w["conv"], model.conv.bias.double(), 2, 1).relu()
    expected = F.conv_transpose2d(y, w["up"], model.up.bias.double(), 2, 1, (size - 1) % 2)
    torch.testing.assert_close(quantized.model(x).double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("dims", "kind"), [(1, "ConvTranspose1d"), (2, "ConvTranspose2d"), (3, "ConvTranspose3d")]
)
def test_rules_name_transposed_convolutions_by_their_class(dims, kind):
    layer = getattr(nn, kind)(3, 4, 2)
    only = rule({Role.WEIGHT: WEIGHT, Role.INPUT: SIGNED}, LayerMatch(module_type=kind))
    quantized = quantize_model(nn.Sequential(layer), [only], torch.randn(1, 3, *[4] * dims))
    assert kinds(quantized) == {"0": f"Quant{kind}"}
    assert quantized.model.get_submodule("0").input_quant.is_quant_enabled


@pytest.mark.parametrize("data_dependent", [False, True], ids=["traced", "modules only"])
def test_embedding_is_converted_and_has_a_row_of_its_own(data_dependent):
    model, x = Words(data_dependent, padding_idx=0), torch.randint(0, 11, (2, 3))
    quantized = quantize_model(model, [EVERYTHING], x)
    assert kinds(quantized) == {"table": "QuantEmbedding", "head": "QuantLinear"}
    row = quantized.layers[0]
    assert (row.weight, row.input, row.activation) == ("8 bit Int8WeightPerTensorFloat", "-", "-")
    assert row.note == ""
    table = quantized.model.get_submodule("table")
    assert table.weight is model.table.weight and table.padding_idx == 0


def test_rows_of_a_quantized_table_need_no_input_quantizer_behind_them():
    x = torch.randint(0, 11, (2, 3))
    per_row = QuantizerChoice("Int8WeightPerChannelFloat")
    model = quantize_model(Words(), [EVERYTHING], x).model
    assert not model.head.input_quant.is_quant_enabled
    by_row = rule({Role.WEIGHT: per_row}, LayerMatch(module_type="Embedding"))
    model = quantize_model(Words(), [EVERYTHING, by_row], x).model
    assert model.head.input_quant.is_quant_enabled  # a scale per row is none of the input
    no_table = rule({Role.WEIGHT: None}, LayerMatch(module_type="Embedding"))
    quantized = quantize_model(Words(), [EVERYTHING, no_table], x)
    assert type(quantized.model.table) is nn.Embedding
    assert quantized.model.head.input_quant.is_quant_enabled


def test_rows_of_a_table_give_their_scale_to_a_bias_behind_them():
    x = torch.randint(0, 11, (2, 3))
    biased = rule({Role.WEIGHT: WEIGHT, Role.BIAS: QuantizerChoice("Int32Bias")})
    model = quantize_model(Words(), [biased], x).model
    assert isinstance(model.table(x), QuantTensor)
    scale = model.table.quant_weight_scale() * model.head.quant_weight_scale()
    steps = model.head.bias / scale
    expected = model.head(
        QuantTensor(torch.zeros(1, 4), model.table.quant_weight_scale(), 0.0, 8.0)
    )
    torch.testing.assert_close(expected[0] / scale, steps.round(), rtol=0, atol=1e-3)
    assert model(x).shape == (2, 3, 2)


def test_a_table_is_the_first_layer_with_a_weight():
    x = torch.randint(0, 11, (2, 3))
    first = rule({Role.WEIGHT: WEIGHT}, LayerMatch(position="first"))
    model = quantize_model(Words(), [first], x).model
    assert isinstance(model.table, QuantEmbedding)
    assert not isinstance(model.head, QuantLinear)


def test_rules_for_roles_that_a_table_lacks_do_not_match_it():
    only = rule({Role.INPUT: SIGNED}, LayerMatch(module_type="Embedding"))
    with pytest.raises(UnmatchedRuleError, match="that has input"):
        quantize_model(Words(), [only], torch.randint(0, 11, (2, 3)))
