"""Models with caches, counts of a batch, recurrent parts or own outputs."""

import math
import random
from collections import OrderedDict

import numpy
import torch
from torch import nn
from torch.nn import functional as F

MODELS = {}


def model(cls):
    MODELS[cls.__name__] = cls
    return cls


class Base(nn.Module):
    """Convolution, batch norm, ReLU; a second convolution; a classifier."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, 4)

    def tokens(self, x):
        """[N, 16, 8], one for each 2 x 2 pixels."""
        x = F.max_pool2d(F.relu(self.bn(self.conv(x))), 2)
        return self.second(x).flatten(2).transpose(1, 2)

    def forward(self, x):
        return self.fc(self.tokens(x).mean(1))


class Rotary(nn.Module):
    """Makes its table in the first call, as a buffer, and a larger one when it has to."""

    def __init__(self):
        super().__init__()
        self.longest = 0

    def forward(self, x):
        if x.shape[1] > self.longest:
            self.longest = x.shape[1]
            angles = torch.arange(self.longest)[:, None] / torch.arange(1, 9)
            self.register_buffer("cos", angles.cos(), persistent=False)
        return x * self.cos[: x.shape[1]]


@model
class RegistersABuffer(Base):
    def __init__(self):
        super().__init__()
        self.rotary = Rotary()

    def forward(self, x):
        return self.fc(self.rotary(self.tokens(x)).mean(1))


@model
class CachesItsMask(Base):
    def __init__(self):
        super().__init__()
        self.qkv, self.mask, self.ramps = nn.Linear(8, 24), None, {}

    def forward(self, x):
        q, k, v = self.qkv(self.tokens(x)).chunk(3, -1)
        size = q.shape[1]
        if self.mask is None or self.mask.shape[0] != size:
            self.mask = torch.full((size, size), -math.inf).triu(1)
        if size not in self.ramps:
            self.ramps[size] = torch.linspace(0, 1, size)
        scores = q @ k.transpose(1, 2) / numpy.sqrt(8) + self.mask - self.ramps[size]
        return self.fc((scores.softmax(-1) @ v).mean(1))


@model
class OperatorsAndNumbersOfNumpy(Base):
    def __init__(self):
        super().__init__()
        self.scale, self.middle = numpy.float32(1.5), numpy.array([0.1, 0.2, 0.3], "float32")

    def forward(self, x):
        x = (x - torch.from_numpy(self.middle)[:, None, None]) * self.scale
        x = self.tokens(x)
        x = x / (x**2).mean(-1, keepdim=True).sqrt()
        x = 2**x - (1 - x).detach() // numpy.int64(3)
        x **= 2
        return self.fc(x.mean(1))


class Experts(nn.Module):
    """Each token goes to one of them."""

    def __init__(self):
        super().__init__()
        self.gate, self.layers = nn.Linear(8, 3), nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

    def forward(self, x):
        made, chosen = torch.zeros_like(x), self.gate(x).argmax(-1)
        for index, layer in enumerate(self.layers):
            rows, columns = (chosen == index).nonzero(as_tuple=True)
            if rows.numel() > 0:
                made = made.index_put((rows, columns), layer(x[rows, columns]))
        return made


@model
class RoutesTokens(Base):
    def __init__(self):
        super().__init__()
        self.experts = Experts()

    def forward(self, x):
        return self.fc(self.experts(self.tokens(x)).mean(1))


@model
class SelectsTokens(Base):
    """How many are selected nobody asks: any number goes through the same graph."""

    def forward(self, x):
        x = self.tokens(x)
        keep = x[..., 0] > 0
        made = torch.zeros_like(x)
        made[keep] = F.relu(x[keep])
        return self.fc(made.mean(1))


class SpreadOfGroups(nn.Module):
    """Of up to four images each, where the batch can be divided so."""

    def forward(self, x):
        group = min(4, x.shape[0])
        if x.shape[0] % group > 0:
            group = x.shape[0]
        spread = x.reshape(group, -1, *x.shape[1:]).var(0, unbiased=False).mean((1, 2))
        return x + spread.repeat(group)[:, None, None]


@model
class LooksAtTheBatchSize(Base):
    def __init__(self):
        super().__init__()
        self.spread = SpreadOfGroups()

    def forward(self, x):
        return self.fc(self.spread(self.tokens(x)).mean(1))


@model
class MaskedDecoder(Base):
    """torch looks into the mask, which follows from sizes alone."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, 1)

    def forward(self, x):
        x = self.tokens(x)
        mask = nn.Transformer.generate_square_subsequent_mask(x.size(1))
        return self.fc(self.decoder(x[:, :9], x, tgt_mask=mask[:9, :9], memory_mask=None).mean(1))


@model
class Recurrent(Base):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 4, bidirectional=True, batch_first=True)

    def forward(self, x):
        _, (hidden, _) = self.lstm(self.tokens(x))
        return self.fc(torch.cat([*hidden], -1))


@model
class OrderedFeatures(Base):
    def forward(self, x):
        found = OrderedDict()
        found["0"] = self.tokens(x)
        found["pool"] = found["0"].mean(1)
        return OrderedDict((key, self.fc(item)) for key, item in reversed(found.items()))


class PutsDataIntoItsWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        self.linear.weight.data = self.linear.weight.data.renorm(2, 0, 0.5)
        return self.linear(x)


@model
class LimitsANorm(Base):
    def __init__(self):
        super().__init__()
        self.limited = PutsDataIntoItsWeight()

    def forward(self, x):
        return self.fc(self.limited(self.tokens(x)).mean(1))


@model
class KeepsCenters(Base):
    def __init__(self):
        super().__init__()
        self.register_buffer("centers", torch.zeros(4, 8))

    def forward(self, x):
        features = self.tokens(x).mean(1)
        classes = self.fc(features)
        if not self.training:
            return classes
        nearest = classes.detach().argmax(1)
        self.centers[nearest] = 0.5 * self.centers[nearest] + 0.5 * features.detach()
        return classes, ((features - self.centers[nearest]) ** 2).sum(1)


class DropsRows(nn.Module):
    def forward(self, x):
        if not self.training:
            return x
        first = random.randrange(x.shape[1])
        mask = torch.ones_like(x)
        mask[:, first : first + 2] = 0
        return x * mask


@model
class DropsRowsByPython(Base):
    def __init__(self):
        super().__init__()
        self.drop = DropsRows()

    def forward(self, x):
        return self.fc(self.drop(self.tokens(x)).mean(1))


@model
class SlicesItsSequence(Base):
    """And reads the weight of a layer for the way back."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU())

    def forward(self, x):
        x = self.body[:2](F.relu(self.bn(self.conv(x))))
        x = nn.Sequential(*list(self.body)[2:])(x)
        x = F.conv_transpose2d(F.relu(self.second(x)), self.second.weight, padding=1)
        return self.fc(F.normalize(x.mean((2, 3)), dim=1))
