"""Quantized multi-head attention against its formula in float64, and in training."""

import math

import pytest
import torch
from torch.nn import functional as F

from qat import QuantTensor
from qat.nn import QuantIdentity, QuantLinear, QuantMultiheadAttention
from qat.quantizers import Int8ActPerTensorFloat

CONSTS = {
    **{"in_proj_input": 2.5, "q_scaled": 0.5, "k_transposed": 1.0, "softmax_input": 0.4},
    **{"attn_output_weights": 0.3, "v": 0.8, "out_proj_input": 0.4, "out_proj_output": 0.5},
}
LEARNED = {f"{role}_scaling_impl_type": "parameter" for role in CONSTS}
LEARNED |= {f"{role}_scaling_const": const for role, const in CONSTS.items()}


def on_grid(x, threshold, low=-128, high=127):
    scale = threshold / max(-low, high)
    q = torch.round(x / scale)
    steps = torch.where((q >= low) & (q <= high), x / scale, q.detach())
    return (steps + (q.clamp(low, high) - steps).detach()) * scale


def rounded(x):
    return x + (torch.round(x) - x).detach()


def linear(x, threshold, weight, bias):
    """8 bit input and weight, bias in the scale of their product."""
    scale = weight.abs().max() / 127
    step = threshold / 128 * scale
    return F.linear(
        on_grid(x, threshold), rounded(weight / scale) * scale, rounded(bias / step) * step
    )


@pytest.mark.parametrize("cross", [False, True])
def test_it_follows_its_formula(cross, backend):
    layer = QuantMultiheadAttention(
        8,
        2,
        softmax_input_quant=Int8ActPerTensorFloat,
        out_proj_output_quant=Int8ActPerTensorFloat,
        return_quant_tensor=True,
        **LEARNED,
    )
    with torch.no_grad():
        layer.in_proj.bias.uniform_(-1.0, 1.0)
        layer.out_proj.bias.uniform_(-1.0, 1.0)
    short = ".tensor_quant.scaling_impl.value"
    given = {
        name.removesuffix(short): p.detach().double().requires_grad_()
        for name, p in layer.named_parameters()
    }
    query = torch.randn(4, 3, 8)
    key = torch.randn(5, 3, 8) if cross else query
    out, weights = layer(query, key, key)

    def project(x):
        parameters = given["in_proj.weight"], given["in_proj.bias"]
        return linear(x.double(), given["in_proj.input_quant"], *parameters)

    def heads(x):  # [length, batch, 8] -> [batch, heads, length, 4]
        return x.unflatten(-1, (2, 4)).permute(1, 2, 0, 3)

    q, k, v = project(query)[..., :8], project(key)[..., 8:16], project(key)[..., 16:]
    q = on_grid(heads(q) / math.sqrt(4), given["q_scaled_quant"])
    scores = q @ on_grid(heads(k).mT, given["k_transposed_quant"])
    scores = torch.softmax(on_grid(scores, given["softmax_input_quant"]), -1)
    scores = on_grid(scores, given["attn_output_weights_quant"], 0, 255)
    attended = scores @ on_grid(heads(v), given["v_quant"])
    joined = attended.permute(2, 0, 1, 3).flatten(2)
    parameters = given["out_proj.weight"], given["out_proj.bias"]
    last = linear(joined, given["out_proj.input_quant"], *parameters)
    threshold = given["out_proj.output_quant"]
    expected = on_grid(last, threshold)

    assert torch.equal(out.int().double(), torch.round(expected.detach() / (threshold / 128)))
    torch.testing.assert_close(weights.double(), scores.mean(1), rtol=1e-5, atol=1e-6)
    random = torch.randn(out.shape)
    (out.value * random).sum().backward()
    (expected * random.double()).sum().backward()
    for name, parameter in layer.named_parameters():
        gradient = given[name.removesuffix(short)].grad
        assert gradient.abs().sum() > 0, name
        torch.testing.assert_close(
            parameter.grad.double(), gradient, rtol=2e-3, atol=2e-4, msg=lambda m, n=name: f"{n}{m}"
        )


def test_three_projections_have_quantizers_of_their_own():
    layer = QuantMultiheadAttention(8, 2, packed_in_proj=False)
    scales = [layer.get_submodule(f"{x}_proj").quant_weight_scale() for x in "qkv"]
    weights = [layer.get_submodule(f"{x}_proj").weight.abs().max() / 127 for x in "qkv"]
    torch.testing.assert_close(scales, weights)


def test_a_query_that_may_look_nowhere_gets_weights_of_zero():
    layer = QuantMultiheadAttention(8, 2)
    x = torch.randn(4, 3, 8, requires_grad=True)
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[1] = True
    out, weights = layer(x, x, x, attn_mask=mask)
    assert torch.equal(weights[:, 1], torch.zeros(3, 4))
    out.sum().backward()
    assert torch.isfinite(x.grad).all() and torch.isfinite(out).all()


def collected(**keywords):
    roles = ("in_proj_input", "out_proj_input", "q_scaled", "k_transposed", "v")
    steps = {f"{role}_collect_stats_steps": 2 for role in (*roles, "attn_output_weights")}
    return QuantMultiheadAttention(8, 2, **steps, **keywords)


def test_training_learns_to_find_the_largest_key(without_jit):
    layer, head = collected(), QuantLinear(8, 1)
    x = torch.randn(4, 32, 8)
    target = x[..., 0].amax(0)
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.02)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.mse_loss(head(layer(x, x, x)[0]).mean(0)[:, 0], target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_quantized_input_passes_its_scale_to_the_bias():
    identity = QuantIdentity(return_quant_tensor=True)
    layer = QuantMultiheadAttention(8, 2, in_proj_input_quant=None, return_quant_tensor=True)
    x = identity(torch.randn(4, 3, 8))
    out, _ = layer(x, x, x)
    assert isinstance(out, QuantTensor) and out.is_valid
    out, _ = layer(x[:2], x, x)
    assert out.is_valid and out.shape == (2, 3, 8)


def test_a_layer_is_made_on_a_device(device):
    layer = collected(device=device)
    assert all(x.device.type == device.type for x in (*layer.parameters(), *layer.buffers()))
