"""Minifloat quantizers against their formulas, with numbers made from bits."""

import re

import pytest
import torch
from torch import nn

import qat.nn as qnn
from qat import quantizers
from qat.components.rounding import CeilSte
from qat.enums import ScalingPerOutputType
from qat.formats import E4M3_OCP, E5M2_FNUZ, FloatFormat
from qat.quantizers import ready_made, ready_made_names
from qat.quantizers.ready import minifloat_table

ALL = {name: ready_made(name) for name in ready_made_names() if re.match(r"Fp\d", name)}
#: Largest number and bias, by hand from the specifications of the formats.
LARGEST = {
    ("4", "3", ""): (480.0, 7),
    ("5", "2", ""): (114688.0, 15),
    ("4", "3", "OCP"): (448.0, 7),
    ("5", "2", "OCP"): (57344.0, 15),
    ("4", "3", "FNUZ"): (240.0, 8),
    ("5", "2", "FNUZ"): (57344.0, 16),
    ("3", "2", ""): (28.0, 3),
    ("2", "3", ""): (7.5, 1),
    ("2", "1", ""): (6.0, 1),
}


def format_of(name):
    """Largest number of the format in the name, and all its numbers, written from their bits."""
    exponent, mantissa, variant = re.match(r"Fp\de(\d)m(\d)(OCP|FNUZ)?", name).groups(default="")
    largest, bias = LARGEST[exponent, mantissa, variant]
    m = int(mantissa)
    positive = [f * 2.0 ** (1 - bias - m) for f in range(2**m)]
    for e in range(1, 2 ** int(exponent)):
        positive += [2.0 ** (e - bias) * (1 + f / 2**m) for f in range(2**m)]
    numbers = [number for number in positive if number <= largest]
    return largest, torch.tensor([-n for n in reversed(numbers[1:])] + numbers).double()


def on_grid(steps, numbers):
    nearest = (steps.detach().unsqueeze(-1) - numbers).abs().argmin(-1)
    return steps + (numbers[nearest] - steps).detach()  # the gradient goes straight through


def layer_with(name, **overrides):
    layer = nn.Linear(7, 5).double()
    with torch.no_grad():
        layer.weight.mul_(300)
    return layer, ALL[name].let(module=layer, **overrides).tensor_quant.double()


WEIGHTS = [name for name in ALL if "Weight" in name]
ACTIVATIONS = [name for name in ALL if "Act" in name]


@pytest.mark.parametrize("name", [name for name in WEIGHTS if "MSE" not in name])
def test_weights_and_their_gradient_are_those_of_the_formula(name):
    layer, quant = layer_with(name)
    largest, numbers = format_of(name)
    expected_weight = layer.weight.detach().clone().requires_grad_()
    if "Tensor" in name:
        scale = expected_weight.abs().max() / largest
    elif "Channel" in name:
        scale = expected_weight.abs().amax(1, keepdim=True) / largest
    else:
        scale = torch.ones((), dtype=torch.float64)
    expected = scale * on_grid(expected_weight / scale, numbers)
    y, found_scale, zero_point, bit_width = quant(layer.weight)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(found_scale, scale)
    assert (zero_point, bit_width) == (0.0, float(re.search(r"\d", name).group()))
    weights = torch.randn_like(expected)
    (weights * y).sum().backward()
    (weights * expected).sum().backward()
    torch.testing.assert_close(layer.weight.grad, expected_weight.grad)


@pytest.mark.parametrize("name", [name for name in WEIGHTS if "MSE" in name])
def test_weights_by_least_error_are_no_worse_than_by_the_largest(name):
    layer, quant = layer_with(name)
    largest, numbers = format_of(name)
    y, scale, _, _ = quant(layer.weight)
    torch.testing.assert_close(
        y, scale * on_grid(layer.weight / scale, numbers).clamp(-largest, largest)
    )
    by_largest = (
        layer.weight.abs().amax(1, keepdim=True)
        if "Channel" in name
        else (layer.weight.abs().max())
    )
    plain = by_largest / largest * on_grid(layer.weight / by_largest * largest, numbers)
    error, plain_error = ((each - layer.weight) ** 2 for each in (y, plain))
    assert error.sum() <= plain_error.sum() * (1 + 1e-9)
    assert "scaling_impl.value" in dict(quant.named_parameters())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_start_at_the_statistic_and_keep_it(name):
    largest, numbers = format_of(name)
    per_channel = "Channel" in name
    overrides = {"per_channel_broadcastable_shape": (1, 3, 1, 1)} if per_channel else {}
    quant = ALL[name].let(**overrides).tensor_quant.double()
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64) * 50
    y, scale, _, _ = quant(x)
    in_evaluation = quant.eval()(x)[0]
    torch.testing.assert_close(in_evaluation, y)
    threshold = scale * largest
    dims = (0, 2, 3) if per_channel else (0, 1, 2, 3)
    if "Float" not in name:
        assert scale == 1.0
    elif "MSE" in name:
        assert bool((threshold <= x.abs().amax(dims, keepdim=per_channel) * (1 + 1e-9)).all())
    else:
        torch.testing.assert_close(threshold, x.abs().amax(dims, keepdim=per_channel))
    torch.testing.assert_close(y, scale * on_grid((x / scale).clamp(-largest, largest), numbers))


def test_the_gradient_of_an_activation_is_zero_beyond_the_largest_number(backend):
    x = torch.tensor([100.0, 447.0, 600.0, -600.0], requires_grad=True)
    quantizers.Fp8e4m3OCPAct.tensor_quant(x)[0].sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_give_numbers_of_the_format(dtype):
    layer = qnn.QuantLinear(6, 4, weight_quant=quantizers.Fp8e5m2WeightPerChannelFloat).to(dtype)
    weight = layer.quant_weight()
    assert weight.dtype == dtype
    assert weight.is_valid


def test_a_power_of_two_as_scale_never_clips():
    quant = quantizers.Fp8e4m3OCPWeightPerTensorFloat.let(
        restrict_scaling_type="power_of_two",
        restrict_value_float_to_int_impl=CeilSte,
        module=nn.Linear(6, 4),
    ).tensor_quant
    w = torch.randn(4, 6)
    scale = quant(w)[1]
    assert torch.frexp(scale)[0] == 0.5
    assert scale * 256 >= w.abs().max() > scale * 128


@pytest.mark.parametrize("exponent, mantissa", [(3, 4), (5, 10), (2, 0)])
def test_generic_quantizers_take_any_width(exponent, mantissa):
    layer = qnn.QuantLinear(
        6,
        4,
        weight_quant=quantizers.FpOCPWeightPerChannelFloat,
        weight_exponent_bit_width=exponent,
        weight_mantissa_bit_width=mantissa,
    )
    weight = layer.quant_weight()
    assert weight.is_valid
    assert weight.format == FloatFormat(exponent, mantissa, 2 ** (exponent - 1) - 1)
    assert weight.bit_width == 1 + exponent + mantissa


def test_variants_are_formats_of_their_own():
    assert quantizers.Fp8e4m3OCPWeight.float_format == E4M3_OCP
    assert quantizers.Fp8e5m2FNUZAct.float_format == E5M2_FNUZ
    assert quantizers.Int8WeightPerTensorFloat.float_format is None


def test_an_integer_quantizer_becomes_one_of_minifloats_by_words():
    layer = qnn.QuantLinear(
        6,
        4,
        weight_quant_type="float",
        weight_exponent_bit_width=4,
        weight_mantissa_bit_width=3,
        weight_saturating=True,
    )
    assert layer.quant_weight().format == FloatFormat(4, 3, 7)


@pytest.mark.parametrize(
    "overrides, error, text",
    [
        ({"mantissa_bit_width": 4}, ValueError, "bit_width is 8, but E4M4.* takes 9"),
        ({"exponent_bit_width": None}, ValueError, "exponent_bit_width is None and"),
        ({"saturating": False}, ValueError, "E4M3 has no code for infinity or NaN"),
        (
            {"exponent_bit_width_impl_type": "parameter"},
            NotImplementedError,
            "exponent_bit_width_impl_type is 'parameter'; learned",
        ),
        (
            {"mantissa_bit_width_impl_type": "parameter"},
            NotImplementedError,
            "mantissa_bit_width_impl_type is 'parameter'; learned",
        ),
        (
            {"scaling_impl_type": "parameter_from_stats", "scaling_stats_op": "hqo"},
            NotImplementedError,
            "scaling_stats_op is 'hqo' and quant_type 'float'",
        ),
        (
            {"zero_point_impl_type": "stats"},
            NotImplementedError,
            "minifloats with a zero point are not built",
        ),
    ],
)
def test_contradictions_are_refused_when_the_layer_is_built(overrides, error, text):
    weight = {f"weight_{name}": item for name, item in overrides.items()}
    with pytest.raises(error, match=text):
        qnn.QuantLinear(6, 4, weight_quant=quantizers.Fp8e4m3WeightPerTensorFloat, **weight)


def test_a_scale_per_group_may_be_given_to_any_of_them():
    layer = qnn.QuantLinear(
        40,
        4,
        weight_quant=quantizers.Fp4e2m1WeightPerChannelFloat,
        weight_scaling_per_output_type=ScalingPerOutputType.GROUP,
        weight_group_size=16,
    )
    weight = layer.quant_weight()
    assert weight.is_valid
    largest = layer.weight[:, :16].abs().amax(1)
    torch.testing.assert_close(weight.scale[:, 0], largest / 6)


def test_a_row_of_the_table_makes_the_quantizers_of_a_format(monkeypatch):
    row = minifloat_table.Row(3, 4, plain=("WeightPerTensorFloat",), ocp=("Act",), mx=("Act",))
    monkeypatch.setattr(minifloat_table, "ROWS", (row,))
    made = minifloat_table.classes("qat.quantizers.ready.minifloat")
    mine = {name for name in made if "8e3m4" in name}
    assert mine == {
        "Fp8e3m4Mixin",
        "Fp8e3m4WeightPerTensorFloat",
        "Fp8e3m4OCPAct",
        "MXFloat8e3m4Act",
    }
    assert made["Fp8e3m4WeightPerTensorFloat"].float_format == FloatFormat(3, 4, 3)
    assert "``max|w| / 31``" in made["Fp8e3m4WeightPerTensorFloat"].__doc__


def test_formats_of_any_width_and_groups_of_attributes_are_not_ready_made():
    assert hasattr(quantizers, "FpOCPWeight") and hasattr(quantizers, "MXMixin")
    assert {"FpOCPWeight", "FpFNUZAct", "MXFloatAct", "MXMixin"}.isdisjoint(ready_made_names())
