"""Notes on what stays in float: no part is silently left out."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule

ALL = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerTensorFloat"),
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat"),
    },
)


class Standardized(nn.Conv2d):
    """A convolution with a forward of its own."""

    def forward(self, x):
        return F.conv2d(x, self.weight - self.weight.mean(), self.bias)


class Own(nn.Module):
    """A layer of its own around ``inner``."""

    def __init__(self, inner, data_dependent=False):
        super().__init__()
        self.first, self.inner = nn.Linear(4, 4), inner
        self.data_dependent = data_dependent

    def forward(self, x):
        if self.data_dependent and x.sum() > 1e9:
            return x
        out = self.inner(self.first(x))
        return out[0] if isinstance(out, tuple) else out


@pytest.fixture(params=[False, True], ids=["traced", "modules only"])
def data_dependent(request):
    return request.param


@pytest.mark.parametrize(
    ("inner", "kind", "where"),
    [
        (nn.LSTM(4, 4, batch_first=True), "LSTM", "inner"),
        (nn.LayerNorm(4), "LayerNorm", "inner"),
        (nn.Sequential(nn.Softmax(dim=-1)), "Softmax", "inner.0"),
        (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), "TransformerEncoderLayer", "inner"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_module_without_a_quantized_form_is_named(inner, kind, where, data_dependent, convert):
    quantized = convert(Own(inner, data_dependent), ALL, x=torch.randn(2, 3, 4))
    assert f"in float: {kind} in {where}" in quantized.notes
    assert [row.name for row in quantized.layers] == ["first"]


def test_layers_inside_of_torchs_own_modules_are_not_touched(data_dependent, convert):
    # they are read by the module around them, not called: a quantizer there would do nothing
    encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    quantized = convert(Own(encoder, data_dependent), ALL, x=torch.randn(2, 3, 4))
    assert type(quantized.model.inner.linear1) is nn.Linear


def test_convolution_with_a_forward_of_its_own_stays_in_float_and_is_said(convert):
    model = nn.Sequential(nn.Conv2d(3, 3, 1), Standardized(3, 2, 3))
    quantized = convert(model, ALL)
    assert [row.name for row in quantized.layers] == ["0"]
    assert "in float: conv2d in 1" in quantized.notes


def test_layer_whose_weight_is_computed_stays_in_float_and_is_said(convert):
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 2, 3))
    quantized = convert(nn.Sequential(nn.Conv2d(3, 3, 1), normed), ALL)
    assert [row.name for row in quantized.layers] == ["0"]
    assert "in float: ParametrizedConv2d in 1" in quantized.notes


def test_batch_norms_are_counted_in_one_note(convert):
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    notes = convert(model, ALL).notes
    assert notes == ["in float: 2 batch norms, each a scale and shift behind a layer"]


def test_repeated_functions_are_counted_where_they_are(convert):
    class Blocks(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            x = self.conv(x)
            return (x * x).abs().abs()

    notes = convert(Blocks(), ALL).notes
    assert "in float: mul in the model itself" in notes
    assert "in float: abs in the model itself (2 times)" in notes


def test_shapes_are_no_part_in_float(convert):
    class Reshaped(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            x = self.conv(x)
            return x.reshape(x.shape[0] * 3 // 3, -1)

    assert convert(Reshaped(), ALL).notes == []
