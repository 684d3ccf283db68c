"""Weights of functions, and of layers that compute theirs."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model
from qat.nn.computed_weight import QuantOperands
from qat.proxy import QuantProxy

RULE = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerChannelFloatMSE", {"bit_width": 3}),
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat"),
    },
)
X = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


class Function(nn.Module):
    """Calls a function with a parameter of its own."""

    def __init__(self, shape, call, x=X):
        super().__init__()
        self.w, self.call, self.example = nn.Parameter(torch.randn(shape)), call, x

    def forward(self, x):
        return self.call(x, self.w)


class Standardized(nn.Conv2d):
    def forward(self, x):
        w = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, w / w.std((1, 2, 3), keepdim=True), self.bias, padding=self.padding)


class SamePadding(nn.Conv2d):
    def forward(self, x):
        return self._conv_forward(F.pad(x, (1, 1, 1, 1)), self.weight, self.bias)


class Pairs(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.example = layer, ROWS

    def forward(self, x):
        return self.layer(x, x.flip(0))


class Symmetric(nn.Module):
    def forward(self, w):
        return w.triu() + w.triu(1).transpose(-1, -2)


def around(layer, x=X):
    model = nn.Sequential(layer)
    model.example = x
    return model


ROWS = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
#: Model, name and type of its one place, dimension of the weight that has a scale each.
CASES = {
    "linear": (lambda: Function((5, 4), F.linear, ROWS), "linear", "Linear", 0),
    "part of a parameter": (
        lambda: Function((9, 4), lambda x, w: F.linear(x, w[2:7]), ROWS),
        "linear",
        "Linear",
        0,
    ),
    "reshaped": (
        lambda: Function((20,), lambda x, w: F.linear(input=x, weight=w.view(5, 4)), ROWS),
        "linear",
        "Linear",
        0,
    ),
    "product with a matrix": (
        lambda: Function((4, 5), lambda x, w: x @ w, ROWS),
        "matmul",
        "matmul",
        1,
    ),
    "conv1d": (lambda: Function((3, 4, 3), F.conv1d, X[..., 0]), "conv1d", "Conv1d", 0),
    "conv2d": (lambda: Function((3, 4, 3, 3), F.conv2d), "conv2d", "Conv2d", 0),
    "conv_transpose2d": (
        lambda: Function((4, 3, 2, 2), F.conv_transpose2d),
        "conv_transpose2d",
        "ConvTranspose2d",
        1,
    ),
    "embedding": (
        lambda: Function((7, 4), F.embedding, torch.tensor([[1, 5], [0, 6]])),
        "embedding",
        "Embedding",
        0,
    ),
    "standardised": (lambda: around(Standardized(4, 3, 3)), "0", "Standardized", 0),
    "same padding": (lambda: around(SamePadding(4, 3, 3)), "0", "SamePadding", 0),
    "weight norm": (
        lambda: around(parametrizations.weight_norm(nn.Conv2d(4, 3, 3))),
        "0",
        "Conv2d",
        0,
    ),
    "older weight norm": (
        lambda: around(nn.utils.weight_norm(nn.Conv2d(4, 3, 3))),
        "0",
        "Conv2d",
        0,
    ),
    "spectral norm": (
        lambda: around(parametrizations.spectral_norm(nn.Linear(4, 5)), ROWS),
        "0",
        "Linear",
        0,
    ),
    "older spectral norm": (
        lambda: around(nn.utils.spectral_norm(nn.Linear(4, 5)), ROWS),
        "0",
        "Linear",
        0,
    ),
    "bilinear": (lambda: Pairs(nn.Bilinear(4, 4, 5)), "layer", "Bilinear", 0),
    "own parametrization": (
        lambda: around(_parametrized(nn.Linear(4, 4)), ROWS),
        "0",
        "Linear",
        0,
    ),
}


def _parametrized(layer):
    parametrize.register_parametrization(layer, "weight", Symmetric())
    return layer


@pytest.fixture(params=CASES)
def case(request):
    torch.manual_seed(0)
    make, name, kind, dim = CASES[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the older weight norm; people have it
        return make(), name, kind, dim


def converted(model, *rules):
    return quantize_model(model, rules or [RULE], model.example)


def seen_weights(model, x):
    """The weights that the quantizers of operands gave in a forward pass."""
    found = []
    hooks = [
        module.register_forward_hook(lambda m, a, result: found.append((a[1], result[1])))
        for module in model.modules()
        if isinstance(module, QuantOperands)
    ]
    model(x)
    for hook in hooks:
        hook.remove()
    return found


def test_weight_is_on_a_grid_where_it_is_used(case):
    model, name, _, dim = case
    result = converted(model)
    assert [row.name for row in result.layers] == [name]
    assert result.layers[0].weight == "3 bit Int8WeightPerChannelFloatMSE"
    ((given, made),) = seen_weights(result.model, model.example)
    channels = made.movedim(dim, 0).flatten(1)
    for before, channel in zip(given.movedim(dim, 0).flatten(1), channels, strict=True):
        steps = channel.unique()
        assert len(steps) <= 7  # 3 bits, narrow
        assert (before - channel).abs().max() < before.abs().max() / 2


def test_rule_finds_it_by_type_and_by_name_and_again_when_converted_again(case):
    model, name, kind, _ = case
    for match in (LayerMatch(module_type=kind), LayerMatch(name=name)):
        for _ in range(2):
            rows = converted(model, Rule("one", match, RULE.choices)).layers
            assert [(row.name, row.weight[:5]) for row in rows] == [(name, "3 bit")]


def test_with_quantizers_off_it_computes_as_before(case):
    model, *_ = case
    made = converted(model).model
    for module in made.modules():
        if isinstance(module, QuantProxy):
            module.disable_quant = True
    model.eval(), made.eval()
    torch.testing.assert_close(made(model.example), model(model.example))


def test_parameters_and_scale_are_trained_and_state_keeps_its_names(case):
    model, *_ = case
    made = converted(model).model.train()
    made(model.example).square().sum().backward()
    learning = {name for name, p in made.named_parameters() if p.grad is not None}
    assert {name for name, _ in model.named_parameters()} <= learning
    assert any("weight_quant" in name for name in learning)
    own = {name for name in made.state_dict() if "_quant." not in name}
    assert own == set(model.state_dict())
    again = converted(model).model
    again.load_state_dict(made.state_dict())


def test_statistics_are_those_of_the_weight_that_is_passed():
    model = Function((5, 4), F.linear, ROWS)
    choice = QuantizerChoice("Int8WeightPerTensorFloat")
    made = converted(model, Rule("max", LayerMatch(), {Role.WEIGHT: choice})).model
    with torch.no_grad():
        model.w.mul_(100)
    ((given, quantized),) = seen_weights(made, ROWS)
    assert torch.allclose(given.abs().max(), quantized.abs().max())
    assert torch.allclose(made.linear.weight_quant.scale() * 127, model.w.abs().max())


def test_calls_in_a_loop_are_one_place_and_parts_of_one_parameter_are_several():
    def loop(x, w):
        for _ in range(3):
            x = F.linear(x, w[:4])
        return F.linear(x, w[4:])

    result = converted(Function((9, 4), loop, ROWS))
    assert [row.name for row in result.layers] == ["linear", "linear_1"]
