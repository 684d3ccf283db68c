"""Arguments that quantized multi-head attention refuses, and what it says."""

import pytest
import torch

from qat.nn import QuantMultiheadAttention


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
