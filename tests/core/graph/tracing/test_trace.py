"""Tracing: dropout, functions in place, training modes, and what cannot be traced."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule
from qat.graph.tracing.trace import TraceFailure, trace

FLOAT = Rule("quant", LayerMatch(), {Role.WEIGHT: None})
ALL = Rule("quant", LayerMatch(), {Role.ACTIVATION: QuantizerChoice("Uint8ActPerTensorFloat")})


class Functions(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)
        self.function = function

    def forward(self, x):
        return self.function(self, self.conv(x))


def test_functional_dropout_follows_the_mode_of_the_converted_model(convert, small_net, example):
    model = convert(small_net, FLOAT).model.eval()
    assert torch.equal(model(example), model(example))
    dropped = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    assert [m.p for m in dropped] == [0.5]
    model.train()
    assert not torch.equal(model(example), model(example))


def test_dropout_that_is_on_in_evaluation_stays_on(convert, example):
    model = convert(Functions(lambda self, x: F.dropout(x, 0.5)), FLOAT).model.eval()
    assert (model(example) == 0).any()


@pytest.mark.parametrize("training", [True, False])
def test_conversion_takes_the_mode_of_the_model(training, convert, small_net):
    model = convert(small_net.train(training)).model
    assert {module.training for module in model.modules()} == {training}


@pytest.mark.parametrize("x", [torch.randn(2, 3, 6, 6), torch.randn(2, 7, 6, 6)])
def test_conversion_leaves_the_modes_of_the_float_model(x, convert, small_net):
    small_net.train()
    small_net.bn.eval()
    before = {name: module.training for name, module in small_net.named_modules()}
    try:
        model = convert(small_net, x=x).model
    except (ValueError, RuntimeError):  # the second example does not fit the model
        model = None
    assert {name: module.training for name, module in small_net.named_modules()} == before
    assert model is None or not model.bn.training


class InPlace(nn.Module):
    """Every result of an in-place function is read through the name it was called on."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.conv(x)
        F.relu_(x)
        y = self.conv(x)
        self.relu(y)
        z = self.conv(y)
        z.relu_()
        z.add_(x)
        F.relu(z, inplace=True)
        shortcut = z
        z += y
        z *= 2
        z -= 1
        z /= 3
        return self.conv(shortcut)


def test_functions_in_place_change_what_is_read_afterwards(convert, example):
    model = InPlace().eval()
    float_rules = Rule("quant", LayerMatch(), {}, activation_function="keep")
    assert torch.equal(convert(model, FLOAT, float_rules).model(example), model(example))


def test_arithmetic_in_place_on_sizes_is_left_alone(convert, example):
    def by_size(self, x):
        n = size = x.size(3)
        n += 1
        return x * n / size

    model = Functions(by_size).eval()
    assert torch.equal(convert(model, FLOAT).model(example), model(example))


def test_example_is_not_changed_by_a_model_that_changes_its_input(convert, example):
    class Changing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            x *= 2
            return self.conv(x)

    before = example.clone()
    convert(Changing(), FLOAT)
    assert torch.equal(example, before)


def test_quantized_function_in_place_is_not_lost(convert, example):
    def relu_of_the_name(self, x):
        self.relu(x)
        return x

    model = convert(Functions(relu_of_the_name), ALL).model
    assert bool((model(example) >= 0).all())


def test_function_that_is_not_in_place_leaves_its_input(convert, example):
    def both(self, x):
        return torch.cat([F.relu(x), x])

    model = Functions(both).eval()
    assert torch.equal(convert(model, FLOAT).model(example), model(example))


def test_dropout_alone_needs_no_second_graph(convert, small_net):
    assert len(convert(small_net).model.graphs) == 1


def test_control_flow_on_data_does_not_trace_and_says_why():
    model = Functions(lambda self, x: x if x.sum() > 0 else -x)
    with pytest.raises(TraceFailure, match="branches on the values"):
        trace(model, torch.randn(1, 3, 4, 4))


def test_example_of_a_wrong_shape_does_not_trace():
    with pytest.raises(TraceFailure):
        trace(Functions(lambda self, x: x), torch.randn(1, 5, 4, 4))


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: F.avg_pool2d(x, x.size()[3]),
        lambda x: F.avg_pool2d(x, x.size(2)),
        lambda x: F.avg_pool2d(x, x.shape[-1]),
        lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: x.mean([2, 3], keepdim=True),
    ],
    ids=["size()[3]", "size(2)", "shape[-1]", "adaptive", "mean"],
)
def test_average_over_the_size_of_the_image_traces(pool, convert, example):
    model = Functions(lambda self, x: pool(x)).eval()
    converted = convert(model, FLOAT)
    assert torch.equal(converted.model(example), model(example))
    assert torch.equal(converted.model(example[..., :5, :5]), model(example[..., :5, :5]))
