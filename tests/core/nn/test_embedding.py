"""Quantized embeddings against torch's, and against the formula of the table's quantizer."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat import QuantTensor
from qat.nn import QuantEmbedding, QuantLinear
from qat.quantizers import (
    Int8AccumulatorAwareWeightQuant,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    SignedBinaryWeightPerTensorConst,
)

INDICES = torch.tensor([[1, 4, 4], [0, 2, 1]])
TORCHS = {
    "plain": {},
    "padding": {"padding_idx": 1},
    "padding_from_the_end": {"padding_idx": -1},
    "max_norm": {"max_norm": 0.5},
    "l1_norm": {"max_norm": 0.5, "norm_type": 1.0},
    "by_frequency": {"scale_grad_by_freq": True},
    "sparse": {"sparse": True},
}


def table_of(embedding):
    """Integers and scale by the formula of the default quantizers, in float64."""
    w = embedding.weight.detach().double()
    per_row = embedding.quant_weight_scale().dim() > 0
    scale = (w.abs().amax(1, keepdim=True) if per_row else w.abs().max()) / 127
    return torch.round(w / scale).clamp(-127, 127), scale


def dense(gradient):
    return gradient.to_dense() if gradient.is_sparse else gradient


@pytest.mark.parametrize("shape", [(), (0,), (4,), (2, 3), (2, 1, 2)])
@pytest.mark.parametrize("quantizer", [Int8WeightPerTensorFloat, Int8WeightPerChannelFloat])
def test_rows_are_those_of_the_quantized_table(quantizer, shape, backend):
    embedding = QuantEmbedding(5, 3, weight_quant=quantizer)
    indices = torch.randint(0, 5, shape)
    out = embedding(indices)
    q, scale = table_of(embedding)
    assert isinstance(out, torch.Tensor) and out.shape == (*shape, 3)
    torch.testing.assert_close(out.double(), (q * scale)[indices], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", TORCHS)
def test_without_a_quantizer_it_is_torchs_layer_bit_by_bit(name):
    layer = QuantEmbedding(5, 3, **TORCHS[name], weight_quant=None)
    floats = nn.Embedding(5, 3, **TORCHS[name])
    floats.load_state_dict(layer.state_dict())
    assert list(layer.state_dict()) == ["weight"]
    out, expected = layer(INDICES), floats(INDICES)
    assert torch.equal(out, expected)
    for x in (out, expected):
        x.square().sum().backward()
    assert layer.weight.grad.is_sparse is floats.weight.grad.is_sparse
    assert torch.equal(dense(layer.weight.grad), dense(floats.weight.grad))
    assert torch.equal(layer.weight, floats.weight)


@pytest.mark.parametrize("name", TORCHS)
def test_with_a_constant_scale_the_gradient_is_torchs_inside_the_grid(name, backend):
    # a constant scale takes no gradient, and nothing here is clipped
    constant = {"weight_scaling_impl_type": "const", "weight_scaling_const": 10.0}
    layer = QuantEmbedding(5, 3, **TORCHS[name], **constant)
    floats = nn.Embedding(5, 3, **TORCHS[name])
    floats.load_state_dict(layer.state_dict())
    g = torch.randn(2, 3, 3)
    layer(INDICES).backward(g)
    floats(INDICES).backward(g)
    assert layer.weight.grad.is_sparse is floats.weight.grad.is_sparse
    torch.testing.assert_close(dense(layer.weight.grad), dense(floats.weight.grad))


def test_sparse_gradient_holds_the_rows_looked_up_and_that_of_the_scale():
    layer = QuantEmbedding(6, 2, sparse=True)
    with torch.no_grad():
        layer.weight.fill_(0.3)
        layer.weight[5, 1] = 1.0  # the scale comes from here
    layer(torch.tensor([0, 2])).sum().backward()
    assert layer.weight.grad.coalesce().indices().tolist() == [[0, 2, 5]]
    before = layer.weight.detach().clone()
    torch.optim.SparseAdam(list(layer.parameters()), lr=0.1).step()
    changed = (layer.weight != before).any(dim=1)
    assert changed.tolist() == [True, False, True, False, False, True]


@pytest.mark.parametrize("norm_type", [1.0, 2.0])
def test_max_norm_shortens_the_rows_of_the_parameter_before_they_are_quantized(norm_type):
    layer = QuantEmbedding(5, 3, max_norm=0.5, norm_type=norm_type)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(5, 3) * 4)
    before = layer.weight.detach().clone()
    out = layer(torch.tensor([1, 3]))
    norms = layer.weight.norm(norm_type, dim=1)
    torch.testing.assert_close(norms[[1, 3]], torch.full((2,), 0.5), rtol=1e-4, atol=0)
    assert torch.equal(layer.weight[[0, 2, 4]], before[[0, 2, 4]])
    q, scale = table_of(layer)
    torch.testing.assert_close(out.double(), (q * scale)[[1, 3]], rtol=1e-6, atol=1e-7)


def test_row_of_padding_gets_no_gradient():
    layer = QuantEmbedding(5, 3, padding_idx=1)
    assert torch.equal(layer.weight[1], torch.zeros(3))
    layer(INDICES).sum().backward()
    assert torch.equal(layer.weight.grad[1], torch.zeros(3))
    assert torch.equal(layer(torch.tensor([1])), torch.zeros(1, 3))


@pytest.mark.parametrize(
    ("quantizer", "keywords"),
    [
        (Int8WeightPerTensorFloat, {}),
        (Int8WeightPerTensorFloat, {"weight_bit_width": 4, "weight_signed": True}),
        (SignedBinaryWeightPerTensorConst, {}),
    ],
)
def test_quant_tensor_of_a_table_with_one_scale_has_that_scale(quantizer, keywords):
    layer = QuantEmbedding(5, 3, weight_quant=quantizer, return_quant_tensor=True, **keywords)
    out, table = layer(INDICES), layer.quant_weight()
    assert isinstance(out, QuantTensor) and out.is_valid
    assert out.scale.shape == () and torch.equal(out.scale, table.scale)
    assert torch.equal(out.int(), table.int()[INDICES])
    assert (out.zero_point, out.bit_width, out.signed) == (0, table.bit_width, table.signed)
    assert out.training is True and layer.eval()(INDICES).training is False


@pytest.mark.parametrize("indices", [INDICES, torch.tensor(2), torch.zeros(0, dtype=torch.long)])
def test_quant_tensor_of_a_table_with_a_scale_per_row_has_those_of_the_rows(indices):
    layer = QuantEmbedding(5, 3, weight_quant=Int8WeightPerChannelFloat, return_quant_tensor=True)
    out, table = layer(indices), layer.quant_weight()
    assert out.is_valid
    assert out.scale.shape == (*indices.shape, 1)
    assert torch.equal(out.scale, table.scale[indices])
    assert torch.equal(out.int(), table.int()[indices])


@pytest.mark.parametrize("indices", [INDICES, torch.tensor(2)])
def test_scale_per_column_serves_all_rows(indices):
    layer = QuantEmbedding(
        5,
        3,
        weight_quant=Int8WeightPerChannelFloat,
        weight_per_channel_broadcastable_shape=(1, 3),
        weight_scaling_stats_permute_dims=(1, 0),
        return_quant_tensor=True,
    )
    out = layer(indices)
    assert out.is_valid and torch.equal(out.int(), layer.quant_weight().int()[indices])


def test_quant_tensor_without_a_quantizer_has_no_grid():
    out = QuantEmbedding(5, 3, weight_quant=None, return_quant_tensor=True)(INDICES)
    assert isinstance(out, QuantTensor) and out.scale is None


def test_the_next_layer_computes_with_the_integers_of_the_table():
    embedding = QuantEmbedding(5, 3, return_quant_tensor=True)
    linear = QuantLinear(3, 2, bias_quant=Int32Bias, return_quant_tensor=True)
    out = linear(embedding(INDICES))
    weight, table = linear.quant_weight(), embedding.quant_weight()
    bias = torch.round(linear.bias.double() / (weight.scale * table.scale).double())
    expected = F.linear(table.int().double()[INDICES], weight.int().double(), bias)
    assert torch.equal(out.int().double(), expected)


def test_from_float_takes_over_parameter_and_arguments():
    floats = nn.Embedding(5, 3, padding_idx=1, max_norm=2.0, scale_grad_by_freq=True).eval()
    layer = QuantEmbedding.from_float(floats, weight_bit_width=4, return_quant_tensor=True)
    assert layer.weight is floats.weight and not layer.weight_quant.training
    assert (layer.padding_idx, layer.max_norm, layer.scale_grad_by_freq) == (1, 2.0, True)
    assert layer(INDICES).bit_width == 4
    with pytest.raises(
        TypeError, match="QuantEmbedding.from_float takes a Embedding, not a Linear"
    ):
        QuantEmbedding.from_float(nn.Linear(2, 2))


def test_from_pretrained_makes_a_frozen_table_as_torch_does():
    table = torch.randn(5, 3)
    layer = QuantEmbedding.from_pretrained(table, padding_idx=0)
    assert not layer.weight.requires_grad and layer.padding_idx == 0
    torch.testing.assert_close(layer.quant_weight_scale(), table.abs().max() / 127)


def test_it_has_no_other_quantizer_than_that_of_the_weight():
    with pytest.raises(TypeError, match="no argument input_quant; .* start with weight_"):
        QuantEmbedding(5, 3, input_quant=None)
    assert list(QuantEmbedding(5, 3).proxies()) == ["weight"]


def test_a_quantizer_that_bounds_sums_is_refused():
    with pytest.raises(ValueError, match="use another such as Int8WeightPerChannelFloat"):
        QuantEmbedding(4, 3, weight_quant=Int8AccumulatorAwareWeightQuant)
