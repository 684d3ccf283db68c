"""A dozen classifiers of small images, as people write them."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm


class OptionalMask(nn.Module):
    def __init__(self, num_classes, mask=None):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, num_classes)

    def forward(self, x, mask=None, *, scale=1.0):
        assert x.shape[1] == 3, "images in colour"
        x = F.relu(self.conv(x)) * scale
        if mask is not None:
            x = x * mask
        return self.fc(x.mean((2, 3)))


class NormalizesInside(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1))
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.norm(self.conv((x - self.mean) / 0.25)).relu_()
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class StandardizedConv(nn.Conv2d):
    def forward(self, x):
        weight = self.weight
        weight = weight - weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class Standardized(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.norm = StandardizedConv(3, 8, 3), nn.GroupNorm(2, 8)
        self.fc = weight_norm(nn.Linear(8, num_classes))

    def forward(self, x):
        return self.fc(torch.relu(self.norm(self.conv(x))).mean(dim=(-2, -1)))


class InPlaceResidual(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)) for _ in range(2)
        )
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            out = block(x)
            out += x
            x = F.relu(out, inplace=True)
        return self.fc(x.mean([2, 3]))


class SqueezeExcite(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Hardswish())
        self.down, self.up = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.conv(x)
        gate = self.up(F.silu(self.down(x.mean((2, 3), keepdim=True)))).sigmoid()
        return self.fc(F.dropout((x * gate).mean((2, 3)), 0.1, self.training))


class Tokens(nn.Module):
    def __init__(self, num_classes, width=16):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.position = nn.Parameter(torch.zeros(1, 64, width))
        self.first = nn.Parameter(torch.zeros(1, 1, width))
        layer = nn.TransformerEncoderLayer(width, 2, 32, 0.0, "gelu", batch_first=True)
        self.layers, self.fc = nn.TransformerEncoder(layer, 2), nn.Linear(width, num_classes)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(x.size(0), -1, -1), x], dim=1)
        return self.fc(self.layers(x + self.position[:, : x.size(1)])[:, 0])


class RowByRow(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.rows, self.fc = nn.GRU(24, 16, batch_first=True), nn.Linear(16, num_classes)

    def forward(self, x):
        states, _ = self.rows(x.permute(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1))
        return self.fc(states[:, -1])


class Dense(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3 + 4 * i, 4, 3, padding=1) for i in range(3))
        self.fc = nn.Linear(15, num_classes)

    def forward(self, x):
        features = [x]
        for conv in self.convs:
            features.append(F.leaky_relu(conv(torch.cat(features, 1)), 0.1))
        return self.fc(F.avg_pool2d(torch.cat(features, 1), x.shape[-1]).flatten(1))


class DropPath(nn.Module):
    def forward(self, x):
        if not self.training:
            return x
        kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) < 0.8
        return x * kept / 0.8


class Inverted(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.stem, self.drop = nn.Conv2d(3, 8, 3, 2, 1, bias=False), DropPath()
        self.block = nn.Sequential(
            nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16), nn.ReLU6(True),
            nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16), nn.ReLU6(True),
            nn.Conv2d(16, 8, 1), nn.BatchNorm2d(8),
        )  # fmt: skip
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.stem(x)
        return self.fc((x + self.drop(self.block(x))).mean((2, 3)))


class Halves(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.branch = nn.Conv2d(3, 8, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.conv(x)
        x[:, :4].relu_()
        left, right = x.chunk(2, dim=1)
        x = torch.stack([left, self.branch(right)], 2).flatten(1, 2)
        return self.fc(x.amax((2, 3)))


class OwnMatrix(nn.Module):
    def __init__(self, num_classes, width=32):
        super().__init__()
        self.first = nn.Parameter(torch.randn(192, width) / 14)
        self.second = nn.Parameter(torch.randn(num_classes, width) / 6)
        self.bias = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x):
        x = torch.tanh(x.reshape(len(x), -1) @ self.first)
        return F.linear(x, self.second, self.bias)


class TwoHeads(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.PReLU(), nn.MaxPool2d(2))
        self.head, self.help = nn.LazyLinear(num_classes), nn.Linear(8, num_classes)
        self(torch.zeros(1, 3, 8, 8))

    def forward(self, x):
        x = self.body(x)
        out = self.head(x.flatten(1))
        if self.training:
            out = out + 0.3 * self.help(x.mean((2, 3)))
        return out


MODELS = (
    OptionalMask, NormalizesInside, Standardized, InPlaceResidual, SqueezeExcite, Tokens,
    RowByRow, Dense, Inverted, Halves, OwnMatrix, TwoHeads,
)  # fmt: skip
