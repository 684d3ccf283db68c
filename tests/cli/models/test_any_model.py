"""Models as people write them, through the commands."""

import json

import pytest

SOURCE = """
import torch
from torch import nn
from torch.nn import functional as F


class Standardized(nn.Conv2d):
    def forward(self, x):
        w = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, w / (w.std((1, 2, 3), keepdim=True) + 1e-5), self.bias, padding=1)


class DropPath(nn.Module):
    def forward(self, x):
        return x * x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(0.9) if self.training else x


class Mixed(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.std, self.drop = Standardized(8, 8, 3, padding=1), DropPath()
        self.gru, self.fc = nn.GRU(8, 8, batch_first=True), nn.Linear(8, num_classes)
        self.pe = nn.Parameter(torch.zeros(1, 1024, 8))

    def forward(self, x, extra=None):
        x = F.silu(self.bn(self.conv(x)))
        x = x + self.drop(self.std(x))
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.pe[:, : tokens.size(1)]
        return self.fc(self.gru(tokens[:, :8])[0][:, -1] + tokens.mean(1))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return self.conv(x) if x.sum() > 0 else self.conv(-x)


def mixed(num_classes):
    return Mixed(num_classes)


def branches(num_classes):
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes)]
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), Branches(), *pool)


def normed(num_classes):
    norm = nn.utils.parametrizations.weight_norm
    layers = [norm(nn.Conv2d(1, 8, 3)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, norm(nn.Linear(8, num_classes)))
"""
#: Factories, and what is said of them beside the table.
FACTORIES = {"mixed": "called as a function", "branches": "stays Python", "normed": ""}


@pytest.mark.parametrize("factory", FACTORIES)
def test_one_epoch_then_evaluation_and_inspection(qat, tmp_path, factory):
    (tmp_path / "mine.py").write_text(SOURCE)
    model = ("--model", f"mine.py:{factory}")
    small = ("data.image_size=8",)
    options = ("--recipe", "resnet_w8a8", *model, "--epochs", "1", "--out", "run", *small)
    trained = qat("train", *options)
    assert trained.exit_code == 0, trained.stderr
    assert FACTORIES[factory] in trained.stderr
    checkpoint = ("--checkpoint", "run/checkpoints/best.pt")
    evaluated = qat("eval", *checkpoint, *model, "--json")
    assert evaluated.exit_code == 0, evaluated.stderr
    figures = json.loads(evaluated.stdout)
    assert 0 <= figures["top1"] <= 100
    inspected = qat("inspect", *checkpoint, *model)
    assert inspected.exit_code == 0, inspected.stderr
