"""Packed files: every weight back, in as few bytes as promised."""

import pytest
import torch
from torch import nn

from qat.export import FloatPart, IntParameter, export, read_packed, read_weights
from qat.formats import IntFormat
from qat.granularity import PerAxis, PerGroup, PerTensor
from qat.nn import QuantConv2d, QuantEmbedding, QuantLinear
from qat.quantizers import (
    Fp8e4m3WeightPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    ShiftedUint8WeightPerTensorFloat,
    SignedBinaryWeightPerTensorConst,
    SignedTernaryWeightPerTensorConst,
)

LAYERS = {
    "8 bit": (lambda: QuantConv2d(3, 5, 3), IntFormat(8, narrow=True), PerTensor()),
    "4 bit per channel": (
        lambda: QuantConv2d(3, 5, 3, weight_quant=Int8WeightPerChannelFloat, weight_bit_width=4),
        IntFormat(4, narrow=True),
        PerAxis(0),
    ),
    "2 bit": (
        lambda: QuantLinear(7, 5, weight_bit_width=2),
        IntFormat(2, narrow=True),
        PerTensor(),
    ),
    "3 bit in groups": (
        lambda: QuantLinear(
            8, 4, weight_scaling_per_output_type="group", weight_group_size=4, weight_bit_width=3
        ),
        IntFormat(3, narrow=True),
        PerGroup(1, 4),
    ),
    "binary": (
        lambda: QuantLinear(7, 5, weight_quant=SignedBinaryWeightPerTensorConst),
        IntFormat(1),
        PerTensor(),
    ),
    "ternary": (
        lambda: QuantLinear(7, 5, weight_quant=SignedTernaryWeightPerTensorConst),
        IntFormat(2),
        PerTensor(),
    ),
    "with a zero point": (
        lambda: QuantLinear(7, 5, weight_quant=ShiftedUint8WeightPerTensorFloat),
        IntFormat(8, signed=False),
        PerTensor(),
    ),
    "embedding": (lambda: QuantEmbedding(6, 4), IntFormat(8, narrow=True), PerTensor()),
}


@pytest.fixture(params=LAYERS)
def case(request):
    torch.manual_seed(0)
    make, format, granularity = LAYERS[request.param]
    return make().eval(), format, granularity


def test_the_integers_are_those_that_the_layer_computes_with(case):
    layer, format, granularity = case
    (weight,) = read_weights(layer)
    expected = layer.quant_weight()
    assert weight.name == "weight" and weight.integers.shape == layer.weight.shape
    assert (weight.format.bits, weight.format.signed) == (format.bits, format.signed)
    assert weight.granularity == granularity
    assert int(weight.integers.min()) >= weight.format.min_value
    assert int(weight.integers.max()) <= weight.format.max_value
    assert torch.equal(weight.value, expected.value)


def test_a_packed_file_gives_the_network_back_in_as_many_bytes_as_its_bits_say(case, tmp_path):
    layer, format, _ = case
    path = tmp_path / "network.safetensors"

    assert export(layer, path) == []

    (expected,), packed = read_weights(layer), read_packed(path)
    read = packed.weights["weight"]
    assert torch.equal(read.integers.long(), expected.integers.long())
    assert torch.equal(read.value, expected.value)
    assert (read.format, read.granularity) == (expected.format, expected.granularity)
    floats = {name for name, _ in layer.named_parameters(recurse=False)} - {"weight"}
    assert set(packed.others) == floats
    assert all(torch.equal(packed.others[name], getattr(layer, name)) for name in floats)


def test_files_shrink_with_the_bits(tmp_path):
    sizes = []
    for bits in (8, 4, 2):
        path = tmp_path / f"{bits}.safetensors"
        export(QuantLinear(256, 256, bias=False, weight_bit_width=bits), path)
        sizes.append(path.stat().st_size)
    binary = tmp_path / "1.safetensors"
    export(QuantLinear(256, 256, bias=False, weight_quant=SignedBinaryWeightPerTensorConst), binary)
    sizes.append(binary.stat().st_size)
    assert [size // 1024 for size in sizes] == [64, 32, 16, 8]


def test_reading_leaves_the_model_as_it_is():
    model = nn.Sequential(QuantLinear(4, 4), nn.BatchNorm1d(4)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    read_weights(model)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())


def test_layers_without_integers_are_float_with_the_reason(tmp_path):
    model = nn.Sequential(
        QuantLinear(4, 4, weight_quant=Fp8e4m3WeightPerTensorFloat),
        QuantLinear(4, 4, weight_quant=None),
        QuantLinear(4, 4, weight_quant=Int8WeightPerTensorFloat, weight_bit_width=12),
    )
    path = tmp_path / "network.safetensors"
    kept = export(model, path)
    assert kept == [
        FloatPart("0.weight", "its numbers are minifloats, not integers"),
        FloatPart("2.weight", "12 bits; up to 8 are packed"),
    ]
    assert torch.equal(read_packed(path).others["0.weight"], model[0].weight)
    assert isinstance(read_weights(model)[1], IntParameter)


def test_a_weight_that_layers_share_is_there_once():
    first = QuantLinear(4, 4)
    second = QuantLinear(4, 4, weight_quant=first.weight_quant)
    second.weight = first.weight
    assert [found.name for found in read_weights(nn.Sequential(first, second))] == ["0.weight"]


def test_another_file_and_another_target_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="is not a packed network"):
        read_packed(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="target is 'onyx'; choose one of 'packed'"):
        export(QuantLinear(2, 2), tmp_path / "network", target="onyx")
