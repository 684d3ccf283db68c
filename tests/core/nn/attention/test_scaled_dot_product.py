"""Scaled dot-product attention: beside torch's function, and against its formula in float64."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat import QuantTensor
from qat.nn import QuantScaledDotProductAttention, ScaledDotProductAttention
from qat.quantizers import Int8ActPerTensorFloat

ROLES = ("q_scaled", "k_transposed", "softmax_input", "attn_output_weights", "v")
IN_FLOAT = {f"{role}_quant": None for role in ROLES}


def operands(heads=2, queries=3, keys=4, **keywords):
    shapes = (2, heads, queries, 8), (2, 2, keys, 8), (2, 2, keys, 5)
    return [torch.randn(shape, **keywords) for shape in shapes]


def some_blocked():
    mask = torch.rand(3, 4) > 0.5
    mask[:, 0] = True
    return mask


CASES = {
    "plain": lambda: {},
    "causal": lambda: {"is_causal": True},
    "bool": lambda: {"attn_mask": some_blocked()},
    "float": lambda: {"attn_mask": torch.randn(2, 1, 3, 4)},
    "infinite": lambda: {"attn_mask": torch.zeros(3, 4).masked_fill(~some_blocked(), -math.inf)},
    "nothing_passes": lambda: {"attn_mask": torch.tensor([[True] * 4, [False] * 4, [True] * 4])},
    "scale": lambda: {"scale": 0.3},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("heads", [2, 4])
def test_without_quantizers_it_computes_what_the_function_does(case, heads):
    layer = QuantScaledDotProductAttention(**IN_FLOAT)
    given = {**CASES[case](), "enable_gqa": heads == 4}
    inputs = operands(heads)
    out, reference = [], []
    for results, attend in ((out, layer), (reference, F.scaled_dot_product_attention)):
        leaves = [x.clone().requires_grad_() for x in inputs]
        results.append(attend(*leaves, **given))
        results[0].square().sum().backward()
        results += [x.grad for x in leaves]
    for a, b in zip(out, reference, strict=True):
        torch.testing.assert_close(a, b)
    assert torch.equal(ScaledDotProductAttention()(*inputs, **given), reference[0])


LEARNED = {f"{role}_scaling_impl_type": "parameter" for role in (*ROLES, "sdpa_output")}
CONSTS = {"q_scaled": 1.0, "k_transposed": 2.0, "softmax_input": 1.5, "v": 1.8}
LEARNED |= {f"{role}_scaling_const": const for role, const in CONSTS.items()}
LEARNED |= {"attn_output_weights_scaling_const": 0.8, "sdpa_output_scaling_const": 0.9}


def on_grid(x, threshold, low=-128, high=127):
    scale = threshold / max(-low, high)
    q = torch.round(x / scale)
    steps = torch.where((q >= low) & (q <= high), x / scale, q.detach())
    return (steps + (q.clamp(low, high) - steps).detach()) * scale


@pytest.mark.parametrize("masked", [False, True])
def test_it_follows_its_formula(masked, backend):
    layer = QuantScaledDotProductAttention(
        softmax_input_quant=Int8ActPerTensorFloat,
        sdpa_output_quant=Int8ActPerTensorFloat,
        return_quant_tensor=True,
        **LEARNED,
    )
    t = {
        name.split("_quant.")[0]: p.detach().double().requires_grad_()
        for name, p in layer.named_parameters()
    }
    inputs = [x.requires_grad_() for x in operands()]
    mask = some_blocked() if masked else torch.ones(3, 4, dtype=torch.bool)
    out = layer(*inputs, attn_mask=mask if masked else None)

    q, k, v = (x.detach().double().requires_grad_() for x in inputs)
    scores = on_grid(q / math.sqrt(8), t["q_scaled"]) @ on_grid(k.mT, t["k_transposed"])
    scores = on_grid(scores, t["softmax_input"]).masked_fill(~mask, -math.inf)
    weights = on_grid(torch.softmax(scores, -1), t["attn_output_weights"], 0, 255)
    expected = on_grid(weights @ on_grid(v, t["v"]), t["sdpa_output"])
    assert torch.equal(
        out.int().double(), torch.round(expected.detach() / (t["sdpa_output"] / 128))
    )

    random = torch.randn(out.shape)
    (out.value * random).sum().backward()
    (expected * random.double()).sum().backward()
    for ours, theirs in zip(inputs, (q, k, v), strict=True):
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-3, atol=1e-4)
    for name, parameter in layer.named_parameters():
        threshold = t[name.split("_quant.")[0]]
        assert threshold.grad != 0
        torch.testing.assert_close(parameter.grad.double(), threshold.grad, rtol=1e-3, atol=1e-4)


def test_blocked_positions_stay_blocked_behind_the_quantizer_of_the_scores():
    layer = QuantScaledDotProductAttention(softmax_input_quant=Int8ActPerTensorFloat)
    q, k, v = operands()
    for _ in range(2):
        layer(q, k, v, is_causal=True)
    assert torch.isfinite(layer.softmax_input_quant.scale())
    other = torch.cat([v[..., :1, :], torch.randn(2, 2, 3, 5)], -2)
    layer.eval()
    first = layer(q, k, v, is_causal=True)[..., 0, :]
    assert torch.equal(layer(q, k, other, is_causal=True)[..., 0, :], first)


def test_a_query_that_may_look_nowhere_gets_zeros_and_finite_gradients():
    layer = QuantScaledDotProductAttention()
    inputs = [x.requires_grad_() for x in operands()]
    out = layer(*inputs, attn_mask=torch.zeros(3, 4, dtype=torch.bool))
    assert torch.equal(out, torch.zeros_like(out))
    out.sum().backward()
    assert all(torch.isfinite(x.grad).all() for x in inputs)


def test_dropout_takes_weights_away_in_evaluation_too_as_the_function_does():
    layer = QuantScaledDotProductAttention(**IN_FLOAT).eval()
    inputs = operands()
    assert torch.equal(layer(*inputs, dropout_p=1.0), torch.zeros(2, 2, 3, 5))


@pytest.mark.parametrize("kind", [ScaledDotProductAttention, QuantScaledDotProductAttention])
def test_operands_are_processed_first(kind):
    layer = kind(torch.neg, nn.Tanh(), torch.abs)
    q, k, v = operands()
    assert torch.equal(layer(q, k, v), kind()(-q, k.tanh(), v.abs()))


def test_quantized_operands_are_taken():
    layer = QuantScaledDotProductAttention(**IN_FLOAT)
    inputs = operands()
    quantized = [QuantTensor(x, 0.1, 0.0, 8, True, False) for x in inputs]
    assert torch.equal(layer(*quantized), layer(*inputs))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_it_runs_in_other_dtypes_with_a_mask_in_single_precision(dtype, without_jit):
    layer = QuantScaledDotProductAttention(softmax_input_quant=Int8ActPerTensorFloat).to(dtype)
    out = layer(*operands(dtype=dtype), attn_mask=torch.randn(3, 4))
    assert out.dtype == dtype and torch.isfinite(out).all()


def test_what_does_not_fit_is_refused():
    name = "QuantScaledDotProductAttention"
    with pytest.raises(
        TypeError, match=f"{name} has no argument bit_width; .* start with q_scaled"
    ):
        QuantScaledDotProductAttention(bit_width=4)
    with pytest.raises(TypeError, match=f"{name}: v_quant is 8; give a quantizer"):
        QuantScaledDotProductAttention(v_quant=8)
    with pytest.raises(ValueError, match="would change a quantizer, but softmax_input_quant"):
        QuantScaledDotProductAttention(softmax_input_bit_width=4)
    with pytest.raises(ValueError, match="return_quant_tensor needs sdpa_output_quant"):
        QuantScaledDotProductAttention(return_quant_tensor=True)
    with pytest.raises(ValueError, match="put the causal mask into attn_mask"):
        QuantScaledDotProductAttention()(*operands(), attn_mask=some_blocked(), is_causal=True)
