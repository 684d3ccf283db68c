"""Models that do not trace: modules converted, the rest noted."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule
from qat.nn import QuantConv2d, QuantReLU

WEIGHT = QuantizerChoice("Int8WeightPerTensorFloat")
ALL = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: WEIGHT,
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat"),
        Role.ACTIVATION: QuantizerChoice("Uint8ActPerTensorFloat"),
    },
)


class DataDependent(nn.Module):
    """Chooses its way by what it sees, so that it cannot be traced."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3), self.relu)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = self.bn(self.block(x))
        if x.sum() > 1e9:
            return x
        x = F.relu(x) + torch.sigmoid(x)
        x = x.add(1)
        x = F.avg_pool2d(x, 2)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def test_notes_say_why_and_name_every_function_that_stays_in_float(convert):
    quantized = convert(DataDependent(), ALL)
    why, functions, norms = quantized.notes
    assert why.startswith("the model does not trace (") and "branches on the values" in why
    assert functions == (
        "in float, as functions in forward: ReLU (1 calls), Sigmoid (1 calls), add (2 calls), "
        "avg_pool2d (1 calls), adaptive_avg_pool2d (1 calls)"
    )
    assert "batch norms" in norms


def test_any_function_that_computes_is_named_and_none_that_only_moves(convert):
    class Many(DataDependent):
        def forward(self, x):
            if x.sum() > 1e9:
                return x
            x = self.block(x)[:, :, :2].permute(0, 2, 3, 1).contiguous().clone()
            x = F.max_pool2d(F.pad(x, (1, 1)), 1)
            x = F.layer_norm(x, x.shape[-1:]) - x.mean(1, keepdim=True)
            x = (x @ x.transpose(2, 3)).softmax(-1).sqrt()
            return x.flatten(1).T

    functions = convert(Many(), ALL).notes[1].partition("forward: ")[2]
    assert [called.partition(" ")[0] for called in functions.split(", ")] == [
        "layer_norm",
        "mean",
        "sub",
        "matmul",
        "softmax",
        "sqrt",
    ]


def test_modules_are_quantized_and_have_rows(convert, example):
    quantized = convert(DataDependent(), ALL)
    assert {row.name: row.kind for row in quantized.layers} == {
        "relu": "QuantReLU",
        "block.0": "QuantConv2d",
        "fc": "QuantLinear",
    }
    assert quantized.model(example).shape == (2, 2)


def test_module_with_two_names_is_replaced_under_both(convert):
    model = convert(DataDependent(), ALL).model
    assert isinstance(model.relu, QuantReLU)
    assert model.block[1] is model.relu


def test_float_model_is_left_and_shares_its_parameters(convert):
    model = DataDependent()
    converted = convert(model, ALL).model
    assert type(model.block[0]) is nn.Conv2d and isinstance(converted.block[0], QuantConv2d)
    assert converted.block[0].weight is model.block[0].weight
    assert converted.bn.running_mean is model.bn.running_mean


def test_modes_are_left(convert):
    model = DataDependent().train()
    model.bn.eval()
    convert(model, ALL)
    assert model.training and model.fc.training and not model.bn.training


def test_first_and_last_go_by_the_order_of_the_modules(convert):
    first = Rule("quant", LayerMatch(position="first"), {Role.WEIGHT: WEIGHT})
    rows = {row.name: row.weight for row in convert(DataDependent(), first).layers}
    assert (rows["block.0"], rows["fc"]) == ("8 bit Int8WeightPerTensorFloat", "float")


def test_state_dict_loads_strictly_into_another_conversion(convert, example):
    one, other = convert(DataDependent(), ALL).model, convert(DataDependent(), ALL).model
    one(example)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.eval()(example), other.eval()(example))


def test_forward_that_raises_is_said(convert):
    class Broken(DataDependent):
        def forward(self, x):
            if x.sum() > 1e9:
                return x
            raise KeyError("lost")

    notes = convert(Broken(), ALL).notes
    assert any("unknown, since forward raises KeyError: 'lost'" in note for note in notes)


@pytest.mark.parametrize("choice", ["identity", "hardtanh"])
def test_activation_function_is_replaced_too(choice, convert):
    replaced = Rule("quant", LayerMatch(), {}, activation_function=choice)
    model = convert(DataDependent(), ALL, replaced).model
    assert (
        type(model.relu).__name__
        == {"identity": "QuantIdentity", "hardtanh": "QuantHardTanh"}[choice]
    )
