"""Models as people write them."""

import importlib.util
import random
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

#: Kinds of models by name; each is a class without arguments that takes images [N, 3, 8, 8].
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

    def features(self, x):
        return F.relu(self.bn(self.conv(x)))

    def classes(self, x):
        return self.fc(self.second(x).mean((2, 3)))

    def forward(self, x):
        return self.classes(self.features(x))


@model
class OptionalArgument(Base):
    def forward(self, x, extra=None, *, scale=1.0):
        x = self.features(x) * scale
        return self.classes(x if extra is None else x * 0 + 1)


@model
class AsksForATensor(Base):
    def forward(self, x):
        return super().forward(x * 2 if isinstance(x, torch.Tensor) else x)


@model
class ChangesASlice(Base):
    def forward(self, x):
        x = self.features(x) - 1
        x[:, 4:] += x[:, :4].clone()
        x[:, :4].relu_()
        return self.classes(x)


@model
class ChangesAView(Base):
    def forward(self, x):
        x = self.bn(self.conv(x))
        F.relu_(x.flatten(1))
        return self.classes(x)


@model
class AssignsSlices(Base):
    def forward(self, x):
        x = self.features(x).clone()
        x[:, 0] = 1
        x[:, 1:2] = x[:, 2:3] * 2
        return self.classes(x)


@model
class BuffersInArithmetic(Base):
    def __init__(self):
        super().__init__()
        self.register_buffer("middle", torch.full((3, 1, 1), 0.5))
        self.register_buffer("spread", torch.full((3, 1, 1), 2.0), persistent=False)

    def forward(self, x):
        return super().forward((x - self.middle) / self.spread)


@model
class CountsInPlace(Base):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        self.count += 1
        return super().forward(x)


@model
class CountsByAssignment(CountsInPlace):
    def forward(self, x):
        self.count = self.count + 1
        return Base.forward(self, x)


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        self.count += 1
        return self.conv(x) * 2 if self.count > 2 else self.conv(x)


@model
class CounterGatesABranch(Base):
    def __init__(self):
        super().__init__()
        self.gate = Gate()

    def forward(self, x):
        return self.classes(self.gate(self.features(x)))


class NormAndActivation(nn.BatchNorm2d):
    def __init__(self, channels):
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, x):
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
        uses_batch = self.training or self.running_mean is None
        x = F.batch_norm(
            x,
            self.running_mean if not self.training or self.track_running_stats else None,
            self.running_var if not self.training or self.track_running_stats else None,
            self.weight,
            self.bias,
            uses_batch,
            self.momentum,
            self.eps,
        )
        return self.act(self.drop(x))


class NormThenRelu(nn.BatchNorm2d):
    def forward(self, x):
        return F.relu(super().forward(x))


class NormOfOtherMomentum(nn.BatchNorm2d):
    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, 0.5)


@model
class NormsWithMore(Base):
    def __init__(self):
        super().__init__()
        kinds = (NormAndActivation, NormThenRelu, NormOfOtherMomentum)
        self.norms = nn.ModuleList(kind(8) for kind in kinds)

    def forward(self, x):
        x = self.features(x)
        for norm in self.norms:
            x = norm(self.second(x))
        return self.classes(x)


class DropPath(nn.Module):
    def forward(self, x):
        if not self.training:
            return x
        return x * x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(0.5) / 0.5


@model
class DropsPaths(Base):
    def __init__(self):
        super().__init__()
        self.drop = DropPath()

    def forward(self, x):
        x = self.features(x)
        x = x + self.drop(self.second(x))
        x = x + self.drop(F.relu(self.second(x)))
        return self.classes(x)


@model
class AuxiliaryHead(Base):
    def __init__(self):
        super().__init__()
        self.auxiliary = nn.Linear(8, 4)

    def forward(self, x):
        x = self.features(x)
        if self.training:
            return self.classes(x), self.auxiliary(F.relu(x.mean((2, 3))))
        return self.classes(x)


class SometimesSkipped(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return x if self.training and random.random() < 0.5 else self.conv(x)


@model
class DropsLayers(Base):
    def __init__(self):
        super().__init__()
        self.maybe = SometimesSkipped()

    def forward(self, x):
        return self.classes(self.maybe(self.features(x)))


@model
class ComputesWithShapes(Base):
    def __init__(self):
        super().__init__()
        self.pe = nn.Parameter(torch.randn(1, 100, 8))

    def forward(self, x):
        assert x.shape[1] == 3
        x = self.features(x)
        if x.shape[-1] > 4:
            x = x * 2
        tokens = x.flatten(2).transpose(1, 2).reshape(len(x), -1, 8)
        tokens = tokens + self.pe[:, : tokens.size(1)]
        total = torch.zeros(x.shape[0], 8)
        for index in range(tokens.shape[1]):
            total = total + tokens[:, index]
        small = int(x.shape[2] * 0.5)
        x = F.interpolate(x, size=(small, small)).view(x.shape[0], -1, small * small)
        return self.fc(total + x.sum(-1))


def python(x):
    return torch.relu(x - 0.1) * 2


with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated; people have it
    scripted = torch.jit.script(python)


@torch.compile
def compiled(x):
    return torch.relu(x - 0.1) * 2


@model
class CallsAScriptedFunction(Base):
    def forward(self, x):
        return self.classes(scripted(self.features(x)))


@model
class CallsACompiledFunction(Base):
    def forward(self, x):
        return self.classes(compiled(self.features(x)))


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, grad):
        return grad * 3


@model
class HasABackwardOfItsOwn(Base):
    def forward(self, x):
        return self.classes(Sign.apply(self.features(x) - 0.1) * self.second(self.features(x)))


@model
class FreezesItsNorm(Base):
    def train(self, mode=True):
        super().train(mode)
        self.bn.eval()
        return self


@model
class FreezesAParameter(Base):
    def __init__(self):
        super().__init__()
        self.conv.weight.requires_grad_(False)


@model
class StopsGradients(Base):
    def forward(self, x):
        x = self.features(x)
        with torch.no_grad():
            middle = self.second(x).mean()
        return self.classes((x - middle).detach() + x)


@model
class Transformer(Base):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x):
        return self.fc(self.encoder(self.features(x).flatten(2).transpose(1, 2)).mean(1))


@model
class Checkpoints(Base):
    def forward(self, x):
        x = self.features(x)
        x = torch.utils.checkpoint.checkpoint(self.second, x, use_reentrant=False)
        x = torch.utils.checkpoint.checkpoint(self.second, x, use_reentrant=True)
        return self.classes(x)


@model
class GivesADict(Base):
    def forward(self, x):
        x = self.features(x)
        return {"classes": self.classes(x), "features": [x, (x * 2, None)]}


class ReadsNumbers(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return self.conv(x) * float(x.detach().numpy().mean())


@model
class OnePartReadsNumbers(Base):
    def __init__(self):
        super().__init__()
        self.part = ReadsNumbers()

    def forward(self, x):
        return self.classes(self.part(self.features(x)))


@model
class HasHooks(Base):
    def __init__(self):
        super().__init__()
        self.second.register_forward_hook(_doubled)
        self.fc.register_forward_pre_hook(_one_more)
        self.bn.register_forward_hook(_doubled)


def _doubled(_module, _args, result):
    return result * 2


def _one_more(_module, args):
    return (args[0] + 1,)


@model
class KeepsWhatItComputed(Base):
    def forward(self, x):
        self.last_size = x.shape[0]
        self.last = self.features(x)
        return self.classes(self.last)


@model
class HasAConstant(Base):
    def __init__(self):
        super().__init__()
        self.table = torch.arange(8.0).reshape(8, 1, 1)  # no buffer

    def forward(self, x):
        return self.classes(self.features(x) + self.table + torch.tensor([1.0]))


def _further_models():
    path = Path(__file__).with_name("further_models.py")
    spec = importlib.util.spec_from_file_location("further_models", path)
    sys.modules[spec.name] = found = importlib.util.module_from_spec(spec)  # for pickle
    spec.loader.exec_module(found)
    return found.MODELS


MODELS.update(_further_models())


@pytest.fixture(params=MODELS)
def written(request):
    """A model with batch norm statistics; what it compiles runs as Python."""
    torch.manual_seed(0)
    torch.compiler.set_stance("force_eager")
    made = MODELS[request.param]()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    yield made
    torch.compiler.set_stance("default")
