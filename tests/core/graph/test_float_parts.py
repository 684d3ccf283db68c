"""Notes on what stays in float: no part is silently left out."""

import pytest
import torch
from torch import nn

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule
from qat.nn import QuantLinear

ALL = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerTensorFloat"),
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat"),
    },
)


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
        (nn.LayerNorm(4), "LayerNorm", "inner"),
        (nn.Sequential(nn.Softmax(dim=-1)), "Softmax", "inner.0"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_module_without_a_quantized_form_is_named(inner, kind, where, data_dependent, convert):
    quantized = convert(Own(inner, data_dependent), ALL, x=torch.randn(2, 3, 4))
    assert f"in float: {kind} in {where}" in quantized.notes
    assert [row.name for row in quantized.layers] == ["first"]


def test_layers_of_a_transformer_are_quantized_where_its_forward_is_traced(data_dependent, convert):
    # otherwise they are read by the module around them, not called: a quantizer would do nothing
    encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    quantized = convert(Own(encoder, data_dependent), ALL, x=torch.randn(2, 3, 4))
    kind = nn.Linear if data_dependent else QuantLinear
    assert type(quantized.model.inner.linear1) is kind


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
