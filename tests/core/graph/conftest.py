"""A small float model to convert, and rules to do it by."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model

WEIGHT = QuantizerChoice("Int8WeightPerTensorFloat")
SIGNED = QuantizerChoice("Int8ActPerTensorFloat")
UNSIGNED = QuantizerChoice("Uint8ActPerTensorFloat")


class SmallNet(nn.Module):
    """Module and functional ReLU, an addition in place, pooling, dropout, a classifier."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = self.relu(self.bn(self.conv1(x)))
        out = self.conv2(x)
        out += x
        out = self.relu(out)
        out = F.avg_pool2d(out, out.size()[3])
        out = F.dropout(out, 0.5, self.training)
        out = out.view(out.size(0), -1)
        return self.fc(out)


def rule(choices, match=None, label="quant", **kwargs):
    return Rule(label, match or LayerMatch(), choices, **kwargs)


EVERYTHING = rule({Role.WEIGHT: WEIGHT, Role.INPUT: SIGNED, Role.ACTIVATION: UNSIGNED})
ADDS = rule({Role.ADD: SIGNED}, label="adds")


@pytest.fixture
def example():
    return torch.randn(2, 3, 6, 6)


@pytest.fixture
def small_net():
    return SmallNet()


@pytest.fixture
def convert(example):
    """A function: a float model converted by the given rules, all of it 8 bit without any."""

    def converted(model, *rules, x=None):
        return quantize_model(model, rules or (EVERYTHING, ADDS), example if x is None else x)

    return converted
