"""Quantized tensors on a grid of minifloats."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
import torch.nn.functional as F

import qat.nn as qnn
from qat import quantizers
from qat.formats import E2M1, E4M3, E4M3_OCP, E5M2_OCP, FloatFormat
from qat.tensor import QuantTensor


def example(float_format=E4M3_OCP, per_channel=False, dtype=torch.float32):
    """Numbers of the format times a scale, ``[2, 4, 4, 4]``."""
    numbers = torch.tensor(float_format.values())
    steps = numbers[torch.arange(128) * 37 % len(numbers)].reshape(2, 4, 4, 4)
    scale = torch.tensor([0.3, 0.01, 2.0, 5.5]).reshape(1, 4, 1, 1) if per_channel else 0.3
    value = (steps * scale).to(dtype)
    bits = float(float_format.bit_width)
    scale = scale.to(dtype) if per_channel else scale
    return QuantTensor(value, scale, 0.0, bits, True, False, float_format)


MOVES = {
    "reshape": lambda x: x.reshape(2, -1),
    "permute": lambda x: x.permute(0, 2, 3, 1),
    "flatten": lambda x: torch.flatten(x, 1),
    "index": lambda x: x[:, 1:, ::2],
    "chunk": lambda x: x.chunk(2, 1)[1],
    "stack": lambda x: torch.stack([x, x]),
    "cat": lambda x: torch.cat([x, x], 1),
    "relu": F.relu,
    "max_pool": lambda x: F.max_pool2d(x, 2),
    "pad": lambda x: F.pad(x, (1, 1, 0, 2)),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2),
    "detach": lambda x: x.detach(),
    "double": lambda x: x.double(),
    "set": lambda x: x.set(training=True),
}
INTEGER_ONLY = {
    "add": lambda x: x + x,
    "sub": lambda x: x - x,
    "mul": lambda x: x * x,
    "neg": lambda x: -x,
    "abs": abs,
    "rescale": lambda x: x * 0.5,
    "avg_pool": lambda x: F.avg_pool2d(x, 2),
}


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("name", MOVES)
def test_moving_and_selecting_keeps_the_format(name, per_channel):
    x = example(per_channel=per_channel)
    moved = MOVES[name](x)
    assert moved.format == E4M3_OCP
    assert moved.is_valid
    torch.testing.assert_close(moved.value, MOVES[name](x.value) if name != "set" else x.value)


@pytest.mark.parametrize("name", INTEGER_ONLY)
def test_what_counts_integers_gives_plain_values(name):
    x = example()
    result = INTEGER_ONLY[name](x)
    assert type(result) is torch.Tensor
    torch.testing.assert_close(result, INTEGER_ONLY[name](x.value))


def test_dropout_keeps_the_format():
    dropped = F.dropout(example(), 0.5, training=True)
    assert dropped.format == E4M3_OCP
    assert dropped.is_valid


def test_formats_that_differ_are_not_joined():
    assert type(torch.cat([example(E4M3_OCP), example(E5M2_OCP)])) is torch.Tensor


def test_zero_points_of_their_own_do_not_keep_formats_apart():
    x, y = example(), example()
    joined = torch.cat([x, y.set(scale=x.scale)])
    assert joined.format == E4M3_OCP


def test_in_place_relu_and_writes():
    x = example()
    assert F.relu_(x).format == E4M3_OCP
    x[0] = 17.3
    assert x.format is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("float_format", [E2M1, E4M3_OCP, E4M3], ids=["E2M1", "OCP", "E4M3"])
def test_the_grid_is_checked_in_the_precision_of_the_type(float_format, dtype):
    x = example(float_format, dtype=dtype)
    assert x.is_valid
    middle = x.value.clone()
    numbers = float_format.values()
    middle[0, 0, 0, 0] = 0.3 * (numbers[-1] + numbers[-2]) / 2
    assert not x.set(value=middle).is_valid
    middle[0, 0, 0, 0] = 0.3 * numbers[-1] * 1.5
    assert not x.set(value=middle).is_valid
    assert not x.set(scale=None).is_valid


def test_infinity_and_nan_are_numbers_where_the_format_has_them():
    x = torch.tensor([1.0, torch.inf, torch.nan])
    for float_format, expected in ((E5M2_OCP, [True, True]), (E4M3_OCP, [False, True])):
        found = [
            QuantTensor(x[[0, i]], 1.0, 0.0, 8.0, True, None, float_format).is_valid for i in (1, 2)
        ]
        assert found == expected


def test_unsigned_formats_hold_no_negative_numbers():
    float_format = FloatFormat(2, 1, 1, signed=False)
    assert QuantTensor(torch.tensor([0.5, 6.0]), 1.0, 0.0, 3.0, False, None, float_format).is_valid
    assert not QuantTensor(torch.tensor([-0.5]), 1.0, 0.0, 3.0, False, None, float_format).is_valid


def test_there_are_no_integers():
    with pytest.raises(ValueError, match="minifloats of the format E4M3 .* use .value / .scale"):
        example().int()


def test_a_format_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="format must be a qat.formats.FloatFormat"):
        QuantTensor(torch.ones(1), 1.0, 0.0, 8.0, True, None, "E4M3")


def test_it_says_its_format_and_integers_say_none():
    assert "format=FloatFormat(exponent_bits=4" in repr(example())
    assert "format" not in repr(QuantTensor(torch.ones(1), 1.0, 0.0, 8.0, True))


def test_copies_and_pickles_keep_the_format():
    for again in (copy.deepcopy(example()), pickle.loads(pickle.dumps(example()))):
        assert again.format == E4M3_OCP
        assert again.is_valid


class Block(torch.nn.Module):
    """Quantizes to minifloats, and hands on what it made."""

    def __init__(self) -> None:
        super().__init__()
        self.act = qnn.QuantIdentity(quantizers.Fp8e4m3OCPAct, return_quant_tensor=True)

    def forward(self, x):
        y = self.act(x)
        return F.max_pool2d(F.relu(torch.cat([y, y], 1)), 2), y + y


def test_compiling_one_graph_changes_nothing():
    torch._dynamo.reset()
    x, block = torch.randn(2, 4, 4, 4), Block().eval()
    expected, found = block(x), torch.compile(block, fullgraph=True, backend="aot_eager")(x)
    assert found[0].format == expected[0].format == E4M3_OCP
    assert found[0].is_valid
    torch.testing.assert_close(found[0].value, expected[0].value)
    torch.testing.assert_close(found[1], expected[1])


def test_exporting_keeps_the_format_through_a_file():
    x, block = torch.randn(2, 4, 4, 4), Block().eval()
    exported = torch.export.export(block, (x,))
    stream = io.BytesIO()
    torch.export.save(exported, stream)
    stream.seek(0)
    y = torch.export.load(stream).module()(x)[0]
    assert y.format == E4M3_OCP
    torch.testing.assert_close(y.value, block(x)[0].value)


@pytest.mark.parametrize("name", ["weight", "bias", "act"])
def test_proxies_hand_the_declared_format_on(name):
    layer = qnn.QuantLinear(
        4,
        3,
        weight_quant=quantizers.Fp8e4m3OCPWeightPerTensorFloat,
        input_quant=quantizers.Fp8e5m2OCPAct,
        bias_quant=quantizers.Int8BiasPerTensorFloatInternalScaling,
        bias_quant_type="float",
        bias_exponent_bit_width=4,
        bias_mantissa_bit_width=3,
    )
    made = {
        "weight": layer.quant_weight(),
        "bias": layer.quant_bias(),
        "act": layer.input_quant(torch.randn(2, 4)),
    }[name]
    assert made.format == {"weight": E4M3_OCP, "bias": E4M3, "act": E5M2_OCP}[name]
    assert made.is_valid
