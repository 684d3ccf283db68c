"""Quantized activation functions against formulas in float64."""

import pytest
import torch
from torch import nn

from qat import QuantTensor
from qat.nn import (
    QuantGELU,
    QuantHardSigmoid,
    QuantHardSwish,
    QuantHardTanh,
    QuantIdentity,
    QuantLeakyReLU,
    QuantReLU,
    QuantReLU6,
    QuantSigmoid,
    QuantSiLU,
    QuantTanh,
)
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8ActPerTensorFloatMinMaxInit,
    SignedBinaryActPerTensorConst,
    SignedTernaryActPerTensorConst,
    Uint8ActPerTensorFloatMaxInit,
)

SIGNED = {"act_quant": Int8ActPerTensorFloatMinMaxInit, "min_val": -1.0, "max_val": 1.0}
UNSIGNED = {"act_quant": Uint8ActPerTensorFloatMaxInit, "max_val": 2.0}

# class, keywords, float function, scale, qmin, qmax
CASES = {
    "relu": (QuantReLU, UNSIGNED, torch.relu, 2 / 255, 0, 255),
    "relu_4_bits": (QuantReLU, {**UNSIGNED, "bit_width": 4}, torch.relu, 2 / 15, 0, 15),
    "identity": (QuantIdentity, SIGNED, lambda x: x, 1 / 128, -128, 127),
    "identity_narrow": (
        QuantIdentity,
        {**SIGNED, "narrow_range": True},
        lambda x: x,
        1 / 127,
        -127,
        127,
    ),
    "sigmoid": (QuantSigmoid, UNSIGNED, torch.sigmoid, 2 / 255, 0, 255),
    "tanh": (QuantTanh, SIGNED, torch.tanh, 1 / 128, -128, 127),
    "relu6": (
        QuantReLU6,
        {**UNSIGNED, "max_val": 8.0},
        lambda x: x.clamp(0, 6),
        8 / 255,
        0,
        255,
    ),
    "leaky_relu": (
        QuantLeakyReLU,
        {**SIGNED, "negative_slope": 0.5},
        lambda x: torch.where(x > 0, x, x / 2),
        1 / 128,
        -128,
        127,
    ),
    "silu": (QuantSiLU, SIGNED, lambda x: x / (1 + torch.exp(-x)), 1 / 128, -128, 127),
    "gelu": (
        QuantGELU,
        SIGNED,
        lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
        1 / 128,
        -128,
        127,
    ),
    "hard_sigmoid": (
        QuantHardSigmoid,
        {**UNSIGNED, "max_val": 1.5},
        lambda x: (x / 6 + 0.5).clamp(0, 1),
        1.5 / 255,
        0,
        255,
    ),
    "hard_swish": (
        QuantHardSwish,
        SIGNED,
        lambda x: x * (x / 6 + 0.5).clamp(0, 1),
        1 / 128,
        -128,
        127,
    ),
    "hard_tanh": (QuantHardTanh, {}, lambda x: x.clamp(-1, 1), 1 / 128, -128, 127),
    "hard_tanh_wide": (
        QuantHardTanh,
        {"min_val": -2.0, "max_val": 2.0, "bit_width": 4},
        lambda x: x.clamp(-2, 2),
        0.25,
        -8,
        7,
    ),
    "binary": (
        QuantIdentity,
        {"act_quant": SignedBinaryActPerTensorConst},
        lambda x: torch.where(x >= 0, 1.0, -1.0).double(),
        1.0,
        -1,
        1,
    ),
    "ternary": (
        QuantIdentity,
        {"act_quant": SignedTernaryActPerTensorConst},
        lambda x: x,
        1.0,
        -1,
        1,
    ),
}
FLOATS = {
    QuantReLU: nn.ReLU(),
    QuantSigmoid: nn.Sigmoid(),
    QuantTanh: nn.Tanh(),
    QuantHardTanh: nn.Hardtanh(),
    QuantIdentity: nn.Identity(),
    QuantReLU6: nn.ReLU6(),
    QuantLeakyReLU: nn.LeakyReLU(),
    QuantSiLU: nn.SiLU(),
    QuantGELU: nn.GELU(),
    QuantHardSigmoid: nn.Hardsigmoid(),
    QuantHardSwish: nn.Hardswish(),
}


@pytest.mark.parametrize("name", CASES)
def test_output_is_the_rounded_function(name, backend):
    kind, keywords, function, scale, qmin, qmax = CASES[name]
    layer = kind(**keywords)
    x = torch.randn(2, 5, 7) * 2
    q = torch.round(function(x.double()) / scale).clamp(qmin, qmax)
    for mode in (True, False):
        out = layer.train(mode)(x)
        assert isinstance(out, torch.Tensor)
        torch.testing.assert_close(out.double(), q * scale, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_quant_tensor_carries_the_grid(name):
    kind, keywords, function, scale, qmin, qmax = CASES[name]
    layer = kind(**keywords, return_quant_tensor=True)
    x = torch.randn(2, 5, 7) * 2
    out = layer(x)
    q = torch.round(function(x.double()) / scale).clamp(qmin, qmax)
    assert isinstance(out, QuantTensor) and out.is_valid
    assert torch.equal(out.int().double(), q)
    torch.testing.assert_close(out.scale.double(), torch.tensor(scale, dtype=torch.float64))
    assert out.zero_point == 0 and out.signed is (qmin < 0) and out.training is True
    assert layer.eval()(x).training is False


@pytest.mark.parametrize("kind", FLOATS)
def test_without_quantizer_it_is_the_float_function(kind):
    x = torch.randn(3, 4)
    layer = kind(act_quant=None)
    assert torch.equal(layer(x), FLOATS[kind](x))
    assert list(layer.state_dict()) == []
    assert layer.quant_act_scale() is None


@pytest.mark.parametrize(
    "kind", [QuantReLU, QuantSigmoid, QuantReLU6, QuantHardSigmoid, QuantHardSwish]
)
def test_functions_without_negative_values_of_weight_are_unsigned_by_default(kind):
    layer = kind(return_quant_tensor=True)
    out = layer(torch.randn(100))
    assert out.signed is False and out.bit_width == 8 and out.int().dtype == torch.uint8


@pytest.mark.parametrize(
    "kind", [QuantIdentity, QuantTanh, QuantHardTanh, QuantLeakyReLU, QuantSiLU, QuantGELU]
)
def test_functions_with_negative_values_are_signed_by_default(kind):
    out = kind(return_quant_tensor=True)(torch.randn(100))
    assert out.signed is True and out.bit_width == 8 and out.int().dtype == torch.int8


def test_default_scale_of_the_first_batch_is_its_largest_value():
    # the 99.999th percentile of few elements is the largest of them
    x = torch.randn(100)
    relu = QuantReLU(return_quant_tensor=True)
    torch.testing.assert_close(relu(x).scale, x.max() / 255)


@pytest.mark.parametrize("kind", [kind for kind in FLOATS if kind is not QuantIdentity])
def test_input_quantizer_works_in_front_of_the_function(kind):
    layer = kind(
        act_quant=None,
        input_quant=Int8ActPerTensorFloatMinMaxInit,
        input_min_val=-1.0,
        input_max_val=1.0,
        input_bit_width=3,
    )
    x = torch.randn(50)
    rounded = torch.round(x.double() / 0.25).clamp(-4, 3) * 0.25
    torch.testing.assert_close(layer(x).double(), FLOATS[kind](rounded))


@pytest.mark.parametrize(
    "make, float_function",
    [
        (lambda: QuantLeakyReLU(None, negative_slope=0.3), nn.LeakyReLU(0.3)),
        (lambda: QuantGELU(None, approximate="tanh"), nn.GELU("tanh")),
        (lambda: QuantLeakyReLU.from_float(nn.LeakyReLU(0.2), None), nn.LeakyReLU(0.2)),
    ],
)
def test_arguments_of_the_function_are_keywords(make, float_function):
    x = torch.randn(20)
    assert torch.equal(make()(x), float_function(x))


def test_keywords_go_to_the_quantizer_they_name():
    layer = QuantReLU(input_quant=Int8ActPerTensorFloat, input_bit_width=5, bit_width=3)
    assert layer.input_quant.bit_width() == 5 and layer.act_quant.bit_width() == 3


def test_a_quantized_input_is_quantized_again():
    x = QuantIdentity(**SIGNED, return_quant_tensor=True)(torch.randn(20))
    coarse = QuantIdentity(**{**SIGNED, "bit_width": 2}, return_quant_tensor=True)
    assert torch.equal(coarse(x).value, coarse(x.value).value)
    assert coarse(x).bit_width == 2


@pytest.mark.parametrize("kind", [QuantReLU, QuantIdentity])
def test_without_quantizer_a_grid_survives_where_the_function_keeps_it(kind):
    x = QuantIdentity(**SIGNED, return_quant_tensor=True)(torch.randn(20))
    out = kind(act_quant=None, return_quant_tensor=True)(x)
    assert out.is_valid and torch.equal(out.scale, x.scale)


def test_gradient_is_that_of_the_function_inside_the_range_and_zero_outside(backend):
    relu = QuantReLU(**UNSIGNED)
    x = torch.tensor([-1.0, 0.5, 1.9, 2.5], requires_grad=True)
    relu(x).sum().backward()
    assert torch.equal(x.grad, torch.tensor([0.0, 1.0, 1.0, 0.0]))


def test_quantizing_twice_changes_nothing():
    identity = QuantIdentity(**SIGNED)
    once = identity(torch.randn(100))
    assert torch.equal(identity(once), once)


def test_nan_in_gives_nan_out(backend):
    identity = QuantIdentity(**SIGNED)
    assert identity(torch.tensor([float("nan"), 0.5])).isnan().tolist() == [True, False]


def test_delayed_quantizer_lets_values_pass_for_as_long_as_asked(backend):
    identity = QuantIdentity(**SIGNED, quant_delay_steps=2)
    x = torch.tensor([0.123, 0.456])
    outputs = [identity(x) for _ in range(3)]
    assert torch.equal(outputs[0], x) and torch.equal(outputs[1], x)
    assert torch.equal(outputs[2], torch.round(x * 128) / 128)


def test_hard_tanh_reaches_as_far_as_its_learned_threshold():
    layer = QuantHardTanh(min_val=-1.0, max_val=1.0)
    x = torch.linspace(-3, 3, 13)
    assert layer(x).abs().max() <= 1.0
    with torch.no_grad():
        layer.act_quant.tensor_quant.scaling_impl.value.mul_(2)
    assert layer(x).min() == -2.0 and layer(x).max() == 2 * 127 / 128
    layer.act_quant.disable_quant = True
    assert torch.equal(layer(x), torch.nn.functional.hardtanh(x))
