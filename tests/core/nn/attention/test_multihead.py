"""Quantized multi-head attention beside torch's layer, and the arguments that it refuses."""

import warnings

import pytest
import torch
from torch import nn

from qat import config
from qat.nn import QuantMultiheadAttention
from qat.ptq import calibration_mode
from qat.quantizers import Int8WeightPerTensorFloatMSE

PROJECTIONS = ("in_proj", "out_proj")
QUANTIZERS = (
    *(f"{name}_{role}_quant" for name in PROJECTIONS for role in ("input", "weight", "bias")),
    *("softmax_input_quant", "attn_output_weights_quant"),
    *("q_scaled_quant", "k_transposed_quant", "v_quant"),
)
IN_FLOAT = dict.fromkeys(QUANTIZERS)
#: Own arguments, and those that torch's layer has too.
LAYERS = {
    "packed": ({}, {}),
    "batch_first": ({}, {"batch_first": True}),
    "three_projections": ({"packed_in_proj": False}, {}),
    "no_bias": ({}, {"bias": False}),
    "no_bias_three_projections": ({"packed_in_proj": False}, {"bias": False}),
    "other_widths": ({}, {"kdim": 6, "vdim": 10}),
    "more_keys": ({}, {"add_bias_kv": True, "add_zero_attn": True}),
}


@pytest.fixture(params=LAYERS)
def case(request):
    return LAYERS[request.param]


def float_layer(arguments):
    floats = nn.MultiheadAttention(8, 2, **arguments)
    with torch.no_grad():
        for parameter in floats.parameters():
            parameter.uniform_(-1.0, 1.0)
    return floats


def operands(arguments, batch=3, queries=4, keys=5):
    widths = 8, arguments.get("kdim", 8), arguments.get("vdim", 8)
    lengths = queries, keys, keys
    shapes = [(length, batch, width) for length, width in zip(lengths, widths, strict=True)]
    tensors = [torch.randn(shape) for shape in shapes]
    first = arguments.get("batch_first", False)
    return [x.transpose(0, 1) for x in tensors] if first else tensors


def padding():
    mask = torch.zeros(3, 5, dtype=torch.bool)
    mask[0, -2:] = True
    return mask


def per_head():
    mask = torch.rand(6, 4, 5) > 0.6
    mask[..., 0] = False
    return mask


MASKS = {
    "none": lambda: {},
    "without_weights": lambda: {"need_weights": False},
    "weights_per_head": lambda: {"average_attn_weights": False},
    "padding": lambda: {"key_padding_mask": padding()},
    "float": lambda: {"attn_mask": torch.randn(4, 5)},
    "per_head_and_padding": lambda: {"attn_mask": per_head(), "key_padding_mask": padding()},
    "mixed": lambda: {"attn_mask": torch.randn(6, 4, 5), "key_padding_mask": padding()},
    "float_padding": lambda: {"attn_mask": per_head(), "key_padding_mask": torch.randn(3, 5)},
    "causal": lambda: {
        "attn_mask": torch.ones(4, 5, dtype=torch.bool).triu(1),
        "is_causal": True,
    },
}


def assert_same(a, b):
    torch.testing.assert_close(a[0], b[0])
    assert (a[1] is None) == (b[1] is None)
    if a[1] is not None:
        torch.testing.assert_close(a[1], b[1])


def in_torch(floats, inputs, given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of masks of two types
        return floats(*inputs, **given)


@pytest.mark.parametrize("mask", MASKS)
def test_without_quantizers_it_computes_what_the_float_layer_does(case, mask):
    own, arguments = case
    floats = float_layer(arguments)
    layer = QuantMultiheadAttention.from_float(floats, **own, **IN_FLOAT)
    inputs, given = operands(arguments), MASKS[mask]()
    assert_same(layer(*inputs, **given), in_torch(floats, inputs, given))


def test_self_attention_is_that_of_the_float_layer():
    for own, arguments in (LAYERS[name] for name in ("packed", "batch_first", "more_keys")):
        floats = float_layer(arguments)
        layer = QuantMultiheadAttention(8, 2, **own, **arguments, **IN_FLOAT)
        layer.load_state_dict(floats.state_dict())
        x, key, _ = operands(arguments)
        assert_same(layer(x, x, x), floats(x, x, x))
        assert_same(layer(x, key, key), floats(x, key, key))


@pytest.mark.parametrize("batch", [0, 1])
def test_batches_of_zero_and_one(case, batch):
    own, arguments = case
    floats = float_layer(arguments)
    layer = QuantMultiheadAttention.from_float(floats, **own, **IN_FLOAT)
    inputs = operands(arguments, batch)
    out, weights = layer(*inputs)
    assert out.shape == inputs[0].shape and weights.shape[0] == batch
    if batch:
        assert_same((out, weights), floats(*inputs))
    QuantMultiheadAttention(8, 2, **own, **arguments)(*inputs)[0].sum().backward()


def test_unbatched_input_gives_unbatched_output():
    floats = float_layer({})
    layer = QuantMultiheadAttention.from_float(floats, **IN_FLOAT)
    inputs = [x[:, 0] for x in operands({})]
    for given in ({}, {"key_padding_mask": padding()[0]}, {"average_attn_weights": False}):
        assert_same(layer(*inputs, **given), floats(*inputs, **given))


@pytest.mark.parametrize("case", ["packed", "no_bias", "other_widths"], indirect=True)
def test_float_state_dict_loads_with_missing_quantizers_forgiven(case, monkeypatch):
    own, arguments = case
    floats = float_layer(arguments)
    layer = QuantMultiheadAttention(
        8, 2, **own, **arguments, in_proj_weight_quant=Int8WeightPerTensorFloatMSE
    )
    with pytest.raises(RuntimeError, match="Missing key.*v_quant.tensor_quant"):
        layer.load_state_dict(floats.state_dict())
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    layer.load_state_dict(floats.state_dict())
    fresh = QuantMultiheadAttention.from_float(
        floats, **own, in_proj_weight_quant=Int8WeightPerTensorFloatMSE
    )
    names = ["in_proj"] if layer.is_packed else ["q_proj", "k_proj", "v_proj"]
    for name in (*names, "out_proj"):
        ours, other = layer.get_submodule(name), fresh.get_submodule(name)
        assert torch.equal(ours.weight, other.weight)
        assert torch.equal(ours.quant_weight_scale(), other.quant_weight_scale())
        assert ours.bias is None or torch.equal(ours.bias, other.bias)
    without = {k: v for k, v in floats.state_dict().items() if k != "out_proj.weight"}
    with pytest.raises(RuntimeError, match="out_proj.weight"):
        layer.load_state_dict(without)


def test_float_state_dict_loads_inside_of_a_model():
    floats = nn.Sequential(nn.MultiheadAttention(8, 2))
    model = nn.Sequential(QuantMultiheadAttention(8, 2, **IN_FLOAT))
    model.load_state_dict(floats.state_dict())
    assert torch.equal(model[0].in_proj.weight, floats[0].in_proj_weight)


def test_from_float_shares_parameters_and_mode():
    floats = float_layer({"add_bias_kv": True}).eval()
    layer = QuantMultiheadAttention.from_float(floats, in_proj_weight_bit_width=4)
    assert layer.in_proj.weight is floats.in_proj_weight
    assert layer.in_proj.bias is floats.in_proj_bias
    assert layer.out_proj.weight is floats.out_proj.weight
    assert layer.bias_k is floats.bias_k and layer.bias_v is floats.bias_v
    assert not any(module.training for module in layer.modules())
    assert layer.in_proj.quant_weight().bit_width == 4
    expected = floats.in_proj_weight.abs().max() / 7
    torch.testing.assert_close(layer.in_proj.quant_weight_scale(), expected)
    with pytest.raises(TypeError, match="takes a MultiheadAttention, not a Linear"):
        QuantMultiheadAttention.from_float(nn.Linear(3, 2))


def test_dropout_is_for_training():
    layer = QuantMultiheadAttention(8, 2, dropout=1.0, **IN_FLOAT)
    x = torch.randn(4, 3, 8)
    assert torch.equal(layer(x, x, x)[1], torch.zeros(3, 4, 4))
    torch.testing.assert_close(layer.eval()(x, x, x)[1].sum(-1), torch.ones(3, 4))


def test_calibration_computes_in_float():
    floats = float_layer({}).eval()
    layer = QuantMultiheadAttention.from_float(floats)
    x = torch.randn(4, 3, 8)
    with torch.no_grad(), calibration_mode(layer):
        assert_same(layer(x, x, x), floats(x, x, x))
    assert (layer(x, x, x)[0] - floats(x, x, x)[0]).abs().max() < 0.2


# Refused arguments


@pytest.mark.parametrize(("dims", "heads"), [(8, 3), (0, 1), (8, 0)])
def test_heads_divide_the_dimensions(dims, heads):
    with pytest.raises(
        ValueError, match=f"embed_dim {dims} does not divide into num_heads {heads}"
    ):
        QuantMultiheadAttention(dims, heads)


@pytest.mark.parametrize(
    "name", ["bit_width", "in_proj_bit_width", "out_proj_bit_width", "in_proj_output_bit_width"]
)
def test_keyword_without_a_role_in_front_is_refused(name):
    with pytest.raises(TypeError, match=f"QuantMultiheadAttention has no argument {name}; attrib"):
        QuantMultiheadAttention(8, 2, **{name: 4})


@pytest.mark.parametrize("source", ["input", "weight"])
def test_bias_of_the_output_needs_the_scales_that_it_is_in(source):
    with pytest.raises(
        ValueError, match=f"out_proj_bias_quant takes .* out_proj_{source}_quant is"
    ):
        QuantMultiheadAttention(8, 2, **{f"out_proj_{source}_quant": None})
    QuantMultiheadAttention(8, 2, bias=False, **{f"out_proj_{source}_quant": None})


def test_bias_of_the_input_needs_the_scale_of_the_weight():
    with pytest.raises(ValueError, match="in_proj_bias_quant takes .* in_proj_weight_quant is"):
        QuantMultiheadAttention(8, 2, in_proj_weight_quant=None)


def test_dropout_is_a_probability():
    with pytest.raises(ValueError, match="dropout is 2.0, a probability"):
        QuantMultiheadAttention(8, 2, dropout=2.0)


@pytest.mark.parametrize("shapes", [((4, 3, 7),) * 3, ((4, 8),) * 2 + ((4, 3, 8),), ((8,),) * 3])
def test_input_of_another_shape_is_refused(shapes):
    with pytest.raises(ValueError, match="all three have 3 dimensions, or 2 without a batch"):
        QuantMultiheadAttention(8, 2)(*map(torch.randn, shapes))


def test_masks_of_another_shape_or_type_are_refused():
    layer = QuantMultiheadAttention(8, 2)
    x = torch.randn(4, 3, 8)
    with pytest.raises(
        ValueError, match=r"attn_mask has shape \(4, 5\); .* \(4, 4\) or \(6, 4, 4\)"
    ):
        layer(x, x, x, attn_mask=torch.zeros(4, 5))
    with pytest.raises(ValueError, match=r"key_padding_mask has shape \(4, 3\); .* \(3, 4\)"):
        layer(x, x, x, key_padding_mask=torch.zeros(4, 3))
    with pytest.raises(
        TypeError, match="attn_mask is of type torch.uint8; it must be bool or float"
    ):
        layer(x, x, x, attn_mask=torch.zeros(4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match="is_causal is a hint about attn_mask, which is None"):
        layer(x, x, x, is_causal=True)


def test_nested_tensors_are_not_implemented():
    x = torch.nested.nested_tensor([torch.randn(3, 8), torch.randn(2, 8)], layout=torch.jagged)
    with pytest.raises(NotImplementedError, match="pad them, and give key_padding_mask"):
        QuantMultiheadAttention(8, 2, batch_first=True)(x, x, x)
