"""Recurrent layers in a model: converted, or said why not."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model
from qat.nn import QuantGRU, QuantLSTM, QuantRNN
from qat.proxy import QuantProxy

RULE = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerTensorFloat"),
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat"),
    },
)
X = torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(0))


class Sequences(nn.Module):
    def __init__(self, layer, packed=False):
        super().__init__()
        self.layer, self.fc, self.packed = layer, nn.Linear(8, 2), packed

    def forward(self, x):
        if not self.packed:
            return self.fc(self.layer(x)[0][:, -1])
        lengths = torch.full((len(x),), x.shape[1])
        out, _ = self.layer(pack_padded_sequence(x, lengths, batch_first=True))
        return self.fc(pad_packed_sequence(out, batch_first=True)[0][:, -1])


@pytest.mark.parametrize(
    ("kind", "quantized"), [(nn.LSTM, QuantLSTM), (nn.GRU, QuantGRU), (nn.RNN, QuantRNN)]
)
def test_recurrent_layers_are_quantized_and_compute_nearly_the_same(kind, quantized):
    torch.manual_seed(0)
    model = Sequences(kind(5, 8, batch_first=True))
    result = quantize_model(model, [RULE], X)
    row = next(row for row in result.layers if row.name == "layer")
    assert (row.weight, row.input) == (
        "8 bit Int8WeightPerTensorFloat",
        "8 bit Int8ActPerTensorFloat",
    )
    made = result.model
    assert isinstance(made.layer, quantized)
    own = {name for name in made.state_dict() if "_quant." not in name}
    assert own == set(model.state_dict())
    for _ in range(3):
        made.train()(X)
    with torch.no_grad():
        wanted, got = model.eval()(X), made.eval()(X)
        assert 0 < (wanted - got).abs().max() < 0.1 * wanted.abs().max()
        for module in made.modules():
            if isinstance(module, QuantProxy):
                module.disable_quant = True
        torch.testing.assert_close(made(X), wanted)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(
    ("layer", "packed", "reason"),
    [
        (lambda: nn.LSTM(5, 8, batch_first=True), True, "packed sequences"),
        (lambda: nn.LSTM(5, 12, proj_size=8, batch_first=True), False, "projected hidden states"),
    ],
    ids=["packed", "projected"],
)
def test_those_that_cannot_be_stay_in_float_and_say_why(layer, packed, reason):
    model = Sequences(layer(), packed)
    result = quantize_model(model, [RULE], X)
    row = next(row for row in result.layers if row.name == "layer")
    assert row.weight == "float" and reason in row.note, result.notes
    for module in result.model.modules():
        if isinstance(module, QuantProxy):
            module.disable_quant = True
    torch.testing.assert_close(result.model.eval()(X), model.eval()(X))


def test_rules_without_them_leave_them_in_float():
    off = Rule("off", LayerMatch(name="layer"), {Role.WEIGHT: None, Role.INPUT: None})
    result = quantize_model(Sequences(nn.GRU(5, 8, batch_first=True)), [RULE, off], X)
    assert type(result.model.layer) is nn.GRU
