"""Batch norms in the scales and biases of a program."""

import pytest
import torch
from torch.nn import functional as F

from qat.export.fold import in_final_form
from qat.export.program import Grid, IntParameter, Kind, Operation, Program, Value, weight_scales
from qat.formats import IntFormat
from qat.granularity import PerAxis

UINT8, INT4 = IntFormat(8, signed=False), IntFormat(4)
FACTOR = torch.tensor([0.5, -2.0, 0.0], dtype=torch.float64)
SHIFT = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)


def weight(integers, format=INT4, scale=(0.25, 0.5, 1.0), zero_point=0.0):
    scale = torch.tensor(scale).reshape(-1, 1)
    return IntParameter("w", integers, format, scale, torch.tensor(zero_point), PerAxis(0))


def program(layer_weight, bias=None, readers=1):
    grid = Grid(UINT8, torch.tensor(0.125))
    values = {
        "x": Value("x", (2, 4)), "q": Value("q", (2, 4), grid),
        "y": Value("y", (2, 3)), "z": Value("z", (2, 3)), "other": Value("other", (2, 3)),
    }  # fmt: skip
    steps = [
        Operation(Kind.QUANTIZE, "", ("x",), "q"),
        Operation(Kind.LINEAR, "fc", ("q",), "y", weight=layer_weight, bias=bias),
        Operation(Kind.AFFINE, "bn", ("y",), "z", {"factor": FACTOR, "shift": SHIFT}),
        Operation(Kind.RELU, "", ("y",), "other"),
    ]
    outputs = ("z", "other")[:readers]
    return Program(tuple(steps), values, ("x",), outputs)


def folded(given):
    final, notes = in_final_form(given)
    (layer,) = [each for each in final.operations if each.kind is Kind.LINEAR]
    return layer, final, notes


def by_hand(given, x):
    layer = given.operations[1]
    y = F.linear(x, layer.weight.value.double(), layer.bias)
    return y * FACTOR + SHIFT


@pytest.mark.parametrize("bias", [None, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)])
@pytest.mark.parametrize(
    ("format", "low", "zero_point"),
    [(INT4, -8, 0.0), (INT4, -8, 3.0), (IntFormat(4, narrow=True), -7, 0.0),
     (IntFormat(4, signed=False), 0, 7.0), (IntFormat(1), -1, 0.0)],
)  # fmt: skip
def test_layer_gives_what_layer_and_norm_gave_with_integers_of_the_same_format(
    format, low, zero_point, bias
):
    integers = torch.randint(low, format.max_value + 1, (3, 4), dtype=torch.int32)
    integers[1, 0] = low  # a channel with a negative factor
    if format.is_binary:
        integers = torch.where(integers >= 0, 1, -1)
    given = program(weight(integers, format, zero_point=zero_point), bias)
    layer, final, notes = folded(given)
    x = torch.randn(5, 4, dtype=torch.float64)
    made = F.linear(x, layer.weight.value.double(), layer.bias)
    torch.testing.assert_close(made, by_hand(given, x), rtol=1e-6, atol=1e-6)
    assert layer.weight.integers.min() >= format.min_value
    assert layer.weight.integers.max() <= format.max_value
    assert not format.is_binary or layer.weight.integers.all()
    assert [each.kind for each in final.operations] == [Kind.QUANTIZE, Kind.LINEAR] and not notes


def test_scale_of_each_channel_is_positive_and_that_of_a_dead_one_is_one():
    layer, _, _ = folded(program(weight(torch.ones(3, 4, dtype=torch.int32))))
    assert weight_scales(layer.weight, 3).tolist() == [0.125, 1.0, 1.0]
    assert layer.weight.value[2].tolist() == [0.0] * 4


def test_bias_is_the_nearest_integer_of_the_accumulator():
    layer, _, _ = folded(program(weight(torch.ones(3, 4, dtype=torch.int32))))
    assert layer.shift == 6  # 2 * 255 * 1 * 2**6 is below 2**15
    steps = torch.tensor([0.125, 1.0, 1.0]) * 0.125 / 2**6
    assert layer.bias_integers.tolist() == torch.round(SHIFT / steps).long().tolist()


@pytest.mark.parametrize("largest", [1, 2, 7, 64, 127])
def test_weights_are_shifted_up_as_far_as_pairs_of_products_fit_int16(largest):
    integers = torch.full((3, 4), largest, dtype=torch.int32)
    layer, _, _ = folded(program(weight(integers, IntFormat(8))))
    fits = 2 * 255 * (largest << layer.shift) <= 32767 and largest << layer.shift <= 127
    assert fits or layer.shift == 0
    more = layer.shift + 1
    assert layer.shift == 6 or 2 * 255 * (largest << more) > 32767 or largest << more > 127


def test_signs_of_all_sums_are_those_with_the_real_bias():
    bias = torch.linspace(-2.03, 2.03, 64, dtype=torch.float64)
    integers = torch.where(torch.rand(64, 4) > 0.5, 1, -1).to(torch.int32)
    scale = torch.full((64, 1), 0.5)
    binary = IntParameter("w", integers, IntFormat(1), scale, torch.tensor(0.0), PerAxis(0))
    grid = Grid(IntFormat(1), torch.tensor(1.0))
    values = {
        "x": Value("x", (2, 4)), "q": Value("q", (2, 4), grid),
        "y": Value("y", (2, 64)), "z": Value("z", (2, 64), grid),
    }  # fmt: skip
    steps = (
        Operation(Kind.QUANTIZE, "", ("x",), "q"),
        Operation(Kind.LINEAR, "fc", ("q",), "y", weight=binary, bias=bias),
        Operation(Kind.QUANTIZE, "", ("y",), "z"),
    )
    final, _ = in_final_form(Program(steps, values, ("x",), ("z",)))
    layer = final.operations[1]
    for total in range(-4, 5):
        made = total * 2**layer.shift + layer.bias_integers
        assert torch.equal(made >= 0, total * 0.5 + bias >= 0) and made.all()


def test_norm_stays_where_others_read_the_layer_and_that_is_said():
    _, final, notes = folded(program(weight(torch.ones(3, 4, dtype=torch.int32)), readers=2))
    assert Kind.AFFINE in [each.kind for each in final.operations]
    assert notes == ["bn: the batch norm stays, what fc gives is read by others too"]


def test_scales_that_differ_inside_of_a_channel_are_refused():
    grouped = weight(torch.ones(3, 4, dtype=torch.int32), scale=(1.0,) * 6)
    with pytest.raises(ValueError, match="w has 6 scales for 3 output channels"):
        weight_scales(grouped, 3)
