"""Sums that go into a norm."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model

EVERYTHING = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerChannelFloat"),
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat"),
        Role.ADD: QuantizerChoice("Int8ActPerTensorFloat"),
    },
)
WIDE = {Role.ADD: QuantizerChoice("Int8ActPerTensorFloat", {"bit_width": 16})}


class Block(nn.Module):
    """Two sums, each in front of a norm: x + f(norm(x))."""

    def __init__(self, norm, layer):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = norm(), norm(), norm()
        self.first, self.second = layer(), layer()

    def forward(self, x):
        x = x + self.first(self.norm1(x))
        x = x + F.dropout(self.second(self.norm2(x.contiguous())), 0.0, self.training)
        return self.norm3(x.transpose(1, 1))


class Masked(nn.Module):
    """Scores of attention and a mask."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        x = self.linear(x)
        scores = x @ x.transpose(1, 2)
        return (scores + scores.tanh() * -100).softmax(-1) @ x


class NormBehind(nn.Module):
    """Two sums, each of what a norm gives: x + norm(f(x))."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.first, self.second, self.last = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x):
        x = x + self.norm1(self.first(x))
        return self.last(x + self.norm2(self.second(x)).contiguous())


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        return F.layer_norm(x * 1 + self.linear(x), (8,))


class Joined(Functional):
    """The first token has no part in the sum."""

    def forward(self, x):
        rest = x[:, 1:] * 1 + self.linear(x[:, 1:])
        return F.layer_norm(torch.cat([x[:, :1], rest], 1), (8,))


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.last = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.conv(x)
        return self.last(self.norm(F.relu(x + self.norm(self.conv(x)))))


TOKENS, IMAGES = torch.randn(2, 5, 8), torch.randn(2, 4, 6, 6)
STREAMS = {
    "layer norm": (lambda: Block(lambda: nn.LayerNorm(8), lambda: nn.Linear(8, 8)), TOKENS, 2),
    "rms norm": (lambda: Block(lambda: nn.RMSNorm(8), lambda: nn.Linear(8, 8)), TOKENS, 2),
    "group norm": (
        lambda: Block(lambda: nn.GroupNorm(1, 4), lambda: nn.Conv2d(4, 4, 1)),
        IMAGES,
        2,
    ),
    "functional": (Functional, TOKENS, 1),
    "joined": (Joined, TOKENS, 1),
    "norm behind": (NormBehind, TOKENS, 2),
    "scores": (Masked, TOKENS, 1),
}


@pytest.fixture(params=STREAMS)
def stream(request):
    make, x, sums = STREAMS[request.param]
    return make(), x, sums


def rows(model, x, *rules):
    layers = quantize_model(model, [EVERYTHING, *rules], x).layers
    return {row.name: (row.input, row.note) for row in layers if "add" in row.name}


def test_sums_beside_a_norm_stay_in_float_and_say_so(stream):
    model, x, sums = stream
    found = [row for row in rows(model, x).values() if row[0] == "float"]
    assert len(found) == sums
    assert all("a residual stream" in note for _, note in found)


@pytest.mark.parametrize("match", [LayerMatch(module_type="add"), LayerMatch(name="*add*")])
def test_rule_by_type_or_name_quantizes_them(stream, match):
    model, x, sums = stream
    found = rows(model, x, Rule("wide", match, WIDE))
    assert {shown for shown, _ in found.values()} == {"16 bit Int8ActPerTensorFloat"}


def test_sums_of_a_convolutional_network_are_quantized():
    assert rows(Convolutional(), IMAGES) == {"add": ("8 bit Int8ActPerTensorFloat", "")}


def test_default_for_sums_is_no_unmatched_rule_where_all_go_into_norms(stream):
    model, x, _ = stream
    only_sums = Rule("quant", LayerMatch(), {Role.ADD: EVERYTHING.choices[Role.ADD]})
    quantize_model(model, [only_sums], x)
