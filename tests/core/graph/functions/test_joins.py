"""Concatenations whose parts share a grid where a rule asks for it."""

import copy

import pytest
import torch
from torch import nn

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model
from qat.nn import QuantCat
from qat.ptq import calibration_mode

EVERYTHING = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerTensorFloat"),
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat", {"scaling_stats_op": "max"}),
    },
)
MAX = {Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat", {"scaling_stats_op": "max"})}
RULE = Rule("joins", LayerMatch(module_type="cat"), MAX)

JOINS = {
    "cat": lambda parts: torch.cat(parts, 1),
    "concat": lambda parts: torch.concat(tuple(parts), dim=-1),
    "concatenate": lambda parts: torch.concatenate(parts, axis=1),
    "keywords": lambda parts: torch.cat(tensors=parts, dim=1),
    "first dimension": lambda parts: torch.cat([part.t() for part in parts]).t(),
}


class Joined(nn.Module):
    """Two branches of very different ranges and a parameter, joined in front of a layer."""

    def __init__(self, join):
        super().__init__()
        self.a, self.b, self.last = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(8, 2)
        self.token, self.join = nn.Parameter(torch.ones(1, 2)), join

    def forward(self, x):
        return self.last(self.join([self.a(x), self.b(x) * 10, self.token.expand(len(x), 2)]))


def converted(model, *rules):
    return quantize_model(model, [EVERYTHING, *rules], torch.randn(6, 4))


def joins_of(model):
    return {name: m for name, m in model.named_modules() if isinstance(m, QuantCat)}


@pytest.mark.parametrize("join", JOINS.values(), ids=list(JOINS))
def test_rule_of_the_type_brings_the_parts_to_the_grid_of_the_largest(join):
    torch.manual_seed(0)
    model, x = Joined(join).eval(), torch.randn(6, 4)
    result = converted(model, RULE)
    seen = []
    joined = joins_of(result.model)["cat"]
    joined.register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.no_grad(), calibration_mode(result.model):
        result.model(x)
    result.model.eval()(x)
    float_out, quantized = seen
    step = float_out.abs().max() / 128
    assert joined.input_quant.scale().item() == pytest.approx(step.item())
    expected = torch.round(float_out / step).clamp(-128, 127) * step
    assert torch.allclose(quantized[:, 6:], expected[:, 6:])  # of no layer with quantized weights
    assert torch.allclose(quantized / step, torch.round(quantized / step), atol=1e-3)


def test_layer_behind_needs_no_quantizer_of_its_own_and_the_row_says_what_there_is():
    result = converted(Joined(JOINS["cat"]), RULE)
    rows = {row.name: row for row in result.layers}
    assert (rows["cat"].kind, rows["cat"].input) == ("QuantCat", "8 bit Int8ActPerTensorFloat")
    assert not result.model.last.input_quant.is_quant_enabled
    assert not any("in float: cat" in note for note in result.notes)


@pytest.mark.parametrize("match", [None, LayerMatch(name="*"), LayerMatch(name="las*")])
def test_concatenations_that_no_rule_asks_for_stay_as_they_are(match):
    rules = [] if match is None else [Rule("inputs", match, MAX)]
    result = converted(Joined(JOINS["cat"]), *rules)
    assert joins_of(result.model) == {}
    assert result.model.last.input_quant.is_quant_enabled


def test_rule_of_the_very_name_is_enough_and_training_trains():
    model = Joined(JOINS["cat"])
    twice = [converted(model, Rule("one", LayerMatch(name="cat"), MAX)).model for _ in range(2)]
    assert [list(joins_of(each)) for each in twice] == [["cat"], ["cat"]]
    twice[0].train()(torch.randn(6, 4)).sum().backward()
    assert model.token.grad is not None and model.a.weight.grad is not None
    assert copy.deepcopy(twice[0]).eval()(torch.randn(3, 4)).shape == (3, 2)


class Positions(nn.Module):
    """What is joined are indices, not activations."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        order = torch.cat([torch.arange(2, 4), torch.arange(2)])
        return self.linear(x)[:, order]


def test_joined_indices_are_no_place():
    optional = Rule("joins", LayerMatch(module_type="cat"), MAX, optional=True)
    assert joins_of(converted(Positions(), optional).model) == {}
