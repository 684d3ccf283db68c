"""Modules that a conversion puts in place of others."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, UnmatchedRuleError
from qat.nn import (
    QuantConv2d,
    QuantEltwiseAdd,
    QuantHardTanh,
    QuantIdentity,
    QuantLinear,
    QuantReLU,
)
from qat.nn.activation import QuantActivation

WEIGHT = QuantizerChoice("Int8WeightPerTensorFloat")
SIGNED = QuantizerChoice("Int8ActPerTensorFloat")
UNSIGNED = QuantizerChoice("Uint8ActPerTensorFloat")
ALL = Rule(
    "quant", LayerMatch(), {Role.WEIGHT: WEIGHT, Role.INPUT: SIGNED, Role.ACTIVATION: UNSIGNED}
)
FLOAT = Rule("quant", LayerMatch(), {Role.WEIGHT: None})


def rule(choices, match=None, **kwargs):
    return Rule("quant", match or LayerMatch(), choices, **kwargs)


def kinds(quantized):
    return {row.name: row.kind for row in quantized.layers}


class Functions(nn.Module):
    """A convolution, then whatever function is under test."""

    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.function = function

    def forward(self, x):
        return self.function(self.conv(x))


def test_every_place_has_a_row_in_the_order_of_execution(convert, small_net):
    assert kinds(convert(small_net)) == {
        "conv1": "QuantConv2d",
        "relu": "QuantReLU",
        "conv2": "QuantConv2d",
        "add": "QuantEltwiseAdd",
        "relu_1": "QuantReLU",
        "fc": "QuantLinear",
    }


def test_module_called_twice_gets_a_quantizer_for_each_call(convert, small_net):
    model = convert(small_net).model
    assert isinstance(model.relu, QuantReLU) and isinstance(model.relu_1, QuantReLU)
    assert model.relu.act_quant is not model.relu_1.act_quant


def test_weight_layer_called_twice_keeps_one_quantizer(convert):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.conv(self.conv(x))

    quantized = convert(Twice(), rule({Role.WEIGHT: WEIGHT}))
    assert kinds(quantized) == {"conv": "QuantConv2d"}


@pytest.mark.parametrize(
    "function",
    [
        F.relu,
        torch.relu,
        lambda x: x.relu(),
        lambda x: F.relu(x, inplace=True),
        lambda x: F.relu(input=x),
        lambda x: F.relu_(x),
        lambda x: torch.relu_(x),
        lambda x: x.relu_(),
    ],
    ids=["F", "torch", "method", "inplace", "keyword", "F_", "torch_", "method_"],
)
def test_functional_relu_becomes_a_module(function, convert, example):
    quantized = convert(Functions(function), ALL)
    assert kinds(quantized)["relu"] == "QuantReLU"
    assert bool((quantized.model(example) >= 0).all())


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + F.max_pool2d(x, 1),
        lambda x: torch.add(x, F.max_pool2d(x, 1)),
        lambda x: x.add(F.max_pool2d(x, 1)),
        lambda x: x.add_(F.max_pool2d(x, 1)),
    ],
    ids=["operator", "torch", "method", "method_"],
)
def test_addition_becomes_a_module_with_both_operands_on_one_grid(function, convert, example):
    quantized = convert(Functions(function), rule({Role.ADD: SIGNED}))
    assert isinstance(quantized.model.add, QuantEltwiseAdd)
    quantized.model(example)
    out = quantized.model.eval()(example)
    steps = out / quantized.model.add.input_quant.scale()
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "function",
    [lambda x: x + 1, lambda x: x + x.shape[0], lambda x: torch.add(x, x, alpha=2)],
    ids=["number", "size", "alpha"],
)
def test_addition_that_is_none_of_two_activations_stays(function, convert):
    quantized = convert(Functions(function), rule({Role.WEIGHT: WEIGHT}))
    assert kinds(quantized) == {"conv": "QuantConv2d"}
    assert any("add" in note for note in quantized.notes)


def test_addition_without_a_rule_is_a_row_in_float(convert, small_net):
    rows = {row.name: row for row in convert(small_net, ALL).layers}
    assert (rows["add"].kind, rows["add"].input) == ("add", "float")


@pytest.mark.parametrize(
    ("function", "kind", "signed"),
    [
        (F.silu, "silu", True),
        (torch.sigmoid, "sigmoid", False),
        (torch.tanh, "tanh", True),
        (F.gelu, "gelu", True),
        (F.relu6, "relu6", False),
        (lambda x: F.leaky_relu(x, 0.5), "leakyrelu", True),
        (lambda x: F.hardtanh(x, -2.0, 3.0), "hardtanh", True),
    ],
)
def test_other_activation_keeps_its_function_with_a_quantizer_that_fits_its_sign(
    function, kind, signed, convert, example
):
    model = Functions(function)
    quantized = convert(model, rule({Role.ACTIVATION: UNSIGNED}))
    activation = quantized.model.get_submodule(kind)
    assert isinstance(activation, QuantActivation)
    assert activation.act_quant.is_signed is signed
    activation.act_quant.disable_quant = True
    torch.testing.assert_close(quantized.model(example), model(example))


@pytest.mark.parametrize(
    ("choice", "kind"), [("identity", QuantIdentity), ("hardtanh", QuantHardTanh)]
)
def test_activation_function_replaces_what_is_like_a_relu(choice, kind, convert, small_net):
    binary = QuantizerChoice("SignedBinaryActPerTensorConst")
    quantized = convert(small_net, rule({Role.ACTIVATION: binary}, activation_function=choice))
    assert isinstance(quantized.model.relu, kind)
    row = next(row for row in quantized.layers if row.name == "relu")
    assert f"ReLU becomes {kind.__name__}" in row.note


@pytest.mark.parametrize(("choice", "kind"), [("identity", nn.Identity), ("hardtanh", nn.Hardtanh)])
def test_activation_function_without_a_quantizer_stays_in_float(choice, kind, convert, small_net):
    quantized = convert(small_net, rule({}, activation_function=choice))
    assert type(quantized.model.relu) is kind


def test_activation_function_leaves_sigmoids_alone(convert):
    model = convert(Functions(torch.sigmoid), rule({}, activation_function="identity")).model
    assert isinstance(model.sigmoid, nn.Sigmoid)


def test_first_and_last_are_the_ends_of_the_execution(convert, small_net):
    four = QuantizerChoice(None, {"bit_width": 4})
    quantized = convert(
        small_net,
        rule({Role.WEIGHT: WEIGHT}),
        rule({Role.WEIGHT: four}, LayerMatch(position="first")),
        rule({Role.WEIGHT: None}, LayerMatch(position="last")),
    )
    bits = {row.name: row.weight for row in quantized.layers if row.weight != "-"}
    assert bits == {
        "conv1": "4 bit Int8WeightPerTensorFloat",
        "conv2": "8 bit Int8WeightPerTensorFloat",
        "fc": "float",
    }
    assert quantized.model.conv1.weight_quant.bit_width().item() == 4
    assert type(quantized.model.fc) is nn.Linear


def test_input_quantizer_is_put_only_where_the_input_is_off_the_grid(convert, small_net):
    model = convert(small_net).model
    assert model.conv1.input_quant.is_quant_enabled  # the image
    assert not model.conv2.input_quant.is_quant_enabled  # behind a quantized ReLU
    assert model.fc.input_quant.is_quant_enabled  # behind an average


def test_maximum_dropout_and_reshape_keep_the_grid(convert):
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.drop = nn.Conv2d(3, 2, 3), nn.Dropout(0.1)
            self.fc = nn.Linear(8, 2)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.conv(x)), 2)
            return self.fc(self.drop(torch.flatten(x, 1)))

    assert not convert(Head(), ALL).model.fc.input_quant.is_quant_enabled


def test_output_quantizer_is_a_role_of_its_own(convert, small_net, example):
    model = convert(small_net, rule({Role.OUTPUT: SIGNED}, LayerMatch(name="fc"))).model
    assert model.fc.output_quant.is_quant_enabled
    assert not model.fc.weight_quant.is_quant_enabled
    assert model(example).shape == (2, 2)


def test_unmatched_rule_is_an_error(convert, small_net):
    with pytest.raises(UnmatchedRuleError, match="nearest are Conv2d"):
        convert(small_net, rule({Role.WEIGHT: WEIGHT}, LayerMatch("Conv3d")))


@pytest.mark.parametrize(
    ("role", "choice", "said"),
    [
        (Role.WEIGHT, ("Int8WeightPerTensorFlot", {}), "did you mean 'Int8WeightPerTensorFloat'"),
        (
            Role.WEIGHT,
            ("Uint8ActPerTensorFloat", {}),
            "is no weight quantizer; choose one of .*Int8W",
        ),
        (Role.ACTIVATION, ("Int8Bias", {}), "is no activation quantizer; choose one of .*Int8Act"),
        (Role.WEIGHT, (WEIGHT.quantizer, {"bit_widht": 4}), "did you mean 'bit_width'"),
        (Role.WEIGHT, (WEIGHT.quantizer, {"bit_width": 40}), "is 40; it must be .* from 1 to 32"),
        (Role.WEIGHT, (WEIGHT.quantizer, {"bit_width": "four"}), "is 'four'; it must be a whole"),
        (Role.WEIGHT, (WEIGHT.quantizer, {"scaling_impl_type": "x"}), "choose one of 'const'"),
        (Role.WEIGHT, (WEIGHT.quantizer, {"quant_type": "ternary"}), "attribute 'threshold'"),
        (Role.ACTIVATION, (SIGNED.quantizer, {"collect_stats_steps": 0}), "must be at least 1"),
    ],
)
def test_choice_that_does_not_work_names_the_layer_and_what_to_do(
    role, choice, said, convert, small_net
):
    layer = "conv1" if role is Role.WEIGHT else "relu"
    with pytest.raises(ValueError, match=f"layer '{layer}': .*{said}"):
        convert(small_net, rule({role: QuantizerChoice(*choice)}))


def test_bias_in_the_scale_of_the_accumulator_gets_the_scale_of_the_activations(
    convert, small_net, example
):
    bias = rule({Role.BIAS: QuantizerChoice("Int32Bias")})
    quantized = convert(small_net, ALL, bias)
    model = quantized.model
    assert model(example).shape == (2, 2)
    model.eval()
    model(example)
    assert model.relu.return_quant_tensor
    step = model.relu.act_quant.scale() * model.conv2.quant_weight_scale()
    quantized_bias = model.conv2.bias_quant(model.conv2.bias, step).value
    steps = quantized_bias / step
    torch.testing.assert_close(steps, steps.round(), atol=1e-2, rtol=1e-5)
    row = next(row for row in quantized.layers if row.name == "conv2")
    assert row.note == "bias 32 bit Int32Bias"


def test_bias_in_the_scale_of_an_input_in_float_is_an_error_when_it_runs(convert, example):
    bias = rule({Role.BIAS: QuantizerChoice("Int32Bias")})
    model = convert(nn.Sequential(nn.Conv2d(3, 2, 3)), rule({Role.WEIGHT: WEIGHT}), bias).model
    with pytest.raises(RuntimeError, match="Int32Bias takes its scale from"):
        model(example)


def test_layer_whose_input_stays_in_float_says_so(convert, small_net):
    rows = {row.name: row for row in convert(small_net, rule({Role.WEIGHT: WEIGHT})).layers}
    assert rows["conv1"].note == "input in float"


def test_rules_of_float_give_the_numbers_of_the_float_model(convert, small_net, example):
    small_net.eval()
    model = convert(small_net, FLOAT).model
    assert torch.equal(model(example), small_net(example))
    assert isinstance(model.fc, nn.Linear) and not isinstance(model.fc, QuantLinear)


def test_subclass_that_computes_as_its_base_is_quantized(convert):
    class Named(nn.Conv2d):
        """A user's name for a convolution."""

    quantized = convert(nn.Sequential(Named(3, 2, 3)), rule({Role.WEIGHT: WEIGHT}))
    assert isinstance(quantized.model.get_submodule("0"), QuantConv2d)


class HiddenWeight(nn.Module):
    """Uses its parameter in a way that is no layer."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.ones(108, 2))

    def forward(self, x):
        return (x[:, :, None] * self.table.abs()).sum(1)


def test_rules_for_weights_that_reach_none_are_refused_with_names_and_reasons(convert):
    model = nn.Sequential(nn.ReLU(), nn.Flatten(), HiddenWeight())
    with pytest.raises(ValueError, match=r"2 \(HiddenWeight\): table used in a way") as caught:
        convert(model, ALL)
    assert "leave the quantizer of weights out" in str(caught.value)


def test_rules_for_weights_in_a_model_without_any_are_no_error(convert):
    assert convert(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), ALL).layers
