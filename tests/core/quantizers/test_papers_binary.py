"""Binary and ternary quantizers, from papers and from statistics, against their formulas.

Expected values and gradients are computed here, in float64, by hand from the papers' equations.
"""

import pytest
import torch
from torch import nn

from qat.components import set_progress
from qat.quantizers import ready_made

LAYERS = {
    "linear": lambda: nn.Linear(12, 4),
    "convolution": lambda: nn.Conv2d(3, 4, 3),
    "single": lambda: nn.Linear(1, 1),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    torch.manual_seed(3)
    return LAYERS[request.param]().double()


def built(name, layer, **overrides):
    return ready_made(name).let(module=layer, **overrides).tensor_quant.double()


def measured(quant, x):
    """Value, scale, and gradients of ``sum(g * y)`` to ``x`` and the parameters, with ``g``."""
    x = x.detach().clone().requires_grad_()
    y, scale, zero_point, bit_width = quant(x)
    g = torch.linspace(-1.0, 2.0, y.numel(), dtype=y.dtype).reshape(y.shape)
    (g * y).sum().backward()
    assert zero_point.item() == 0.0
    parameters = {name: parameter.grad for name, parameter in quant.named_parameters()}
    return y.detach(), scale.detach(), bit_width.item(), x.grad, parameters, g


def sign(x):
    return torch.where(x < 0, -1.0, 1.0).to(x.dtype)


def over_rest(x):
    """All dimensions but the first."""
    return tuple(range(1, x.dim()))


def mean_over(x, per_channel):
    return x.mean(over_rest(x), keepdim=True) if per_channel else x.mean()


close = torch.testing.assert_close

MEAN_BINARY = {
    # name: per channel, dy/dw where |w| <= 1 and outside, given (a, n)
    "XNORWeight": (True, lambda a, n: 1 / n + a, lambda a, n: 1 / n + 0 * a),
    "BiRealWeight": (False, lambda a, n: a, lambda a, n: 0 * a),
}


@pytest.mark.parametrize("name", MEAN_BINARY)
def test_binary_weight_is_the_sign_times_the_mean_magnitude(name, layer):
    per_channel, inside, outside = MEAN_BINARY[name]
    w = 3 * layer.weight.detach()  # beyond 1 as well
    y, scale, bits, grad, _, g = measured(built(name, layer), w)
    a = mean_over(w.abs(), per_channel)
    n = w[0].numel() if per_channel else w.numel()
    close(scale, a)
    close(y, sign(w) * a)
    close(grad, g * torch.where(w.abs() <= 1, inside(a, n), outside(a, n)))
    assert bits == 1


def test_magnitude_of_bi_real_net_may_be_per_channel():
    layer = nn.Linear(5, 3).double()
    y, scale, _, grad, _, g = measured(
        built("BiRealWeight", layer, scaling_per_output_channel=True), layer.weight
    )
    close(scale, layer.weight.detach().abs().mean(1, keepdim=True))
    close(grad, g * scale)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_ir_net_weight_is_the_sign_of_the_standardized_weight(fraction, layer, backend):
    quant = built("IRNetWeight", layer)
    set_progress(quant, fraction)
    w = layer.weight.detach()
    y, scale, bits, grad, _, g = measured(quant, w)
    assert bits == 1
    if w.numel() == 1:  # one element per channel: v = 0
        assert y.item() == scale.item() > 0
        return
    dims = over_rest(w)
    centred = w - w.mean(dims, keepdim=True)
    sigma = (centred**2).mean(dims, keepdim=True).sqrt()
    v = centred / sigma
    expected_scale = 2 ** torch.round(torch.log2(v.abs().mean(dims, keepdim=True)))
    close(scale, expected_scale)
    close(y, sign(v) * expected_scale)
    t = 0.1 * 100**fraction
    to_v = g * expected_scale * max(1 / t, 1) * t * (1 - torch.tanh(t * v) ** 2)
    mean_v = to_v.mean(dims, keepdim=True)
    expected = (to_v - mean_v - v * (to_v * v).mean(dims, keepdim=True)) / sigma
    close(grad, expected)


def test_ir_net_weight_may_be_per_tensor():
    layer = nn.Linear(5, 3).double()
    quant = built("IRNetWeight", layer, scaling_per_output_channel=False)
    y, scale, *_ = measured(quant, layer.weight)
    w = layer.weight.detach()
    assert scale.shape == ()
    assert torch.equal(y, sign(w - w.mean()) * scale)


def test_ir_net_weight_takes_the_output_channels_of_a_transposed_convolution():
    from qat.nn import QuantConvTranspose1d

    layer = QuantConvTranspose1d(2, 3, 4, weight_quant=ready_made("IRNetWeight")).double()
    w = layer.weight.detach()
    y = layer.quant_weight()
    assert y.scale.shape == (1, 3, 1)
    assert torch.equal(y.value.sign(), sign(w - w.mean((0, 2), keepdim=True)))


X = [-3.0, -1.0, -0.6, -0.25, 0.0, 0.25, 0.6, 1.0, 3.0]
ACTS = {
    "BiRealAct": lambda x: torch.clamp(2 - 2 * x.abs(), min=0),
    "IRNetAct": lambda x: 10 * 0.1 * (1 - torch.tanh(0.1 * x) ** 2),  # t = 0.1, k = 10
}


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("name", ACTS)
def test_binary_activation_is_the_sign_with_the_published_gradient(name, scale):
    x = torch.tensor(X, dtype=torch.float64)
    y, s, bits, grad, _, g = measured(built(name, nn.Linear(1, 1), scaling_const=scale), x)
    assert (s.item(), bits) == (scale, 1)
    close(y, scale * sign(x))
    close(grad, g * scale * ACTS[name](x))


def test_ternary_weight_network_keeps_the_mean_beyond_its_threshold(layer):
    w = layer.weight.detach()
    y, scale, bits, grad, _, g = measured(built("TWNWeight", layer), w)
    threshold = 0.7 * w.abs().mean()
    beyond = w.abs() > threshold
    a = w.abs()[beyond].mean()
    close(scale, a)
    close(y, torch.where(beyond, sign(w) * a, 0.0))
    close(grad, g)
    assert bits == 2


def test_ternary_weight_network_may_be_per_channel():
    layer = nn.Conv2d(2, 3, 3).double()
    w = layer.weight.detach()
    y, scale, *_ = measured(built("TWNWeight", layer, scaling_per_output_channel=True), w)
    for channel in range(3):
        row = w[channel]
        beyond = row.abs() > 0.7 * row.abs().mean()
        close(scale[channel].reshape(()), row.abs()[beyond].mean())
        close(y[channel], torch.where(beyond, sign(row) * row.abs()[beyond].mean(), 0.0))


def test_trained_ternary_weights_have_a_learned_scale_on_either_side(layer, backend):
    w = layer.weight.detach()
    y, scale, bits, grad, parameters, g = measured(built("TTQWeight", layer), w)
    threshold = 0.05 * w.abs().max()
    above, below = w > threshold, w < -threshold
    p = w[above].mean() if above.any() else torch.tensor(2.0**-1022).double()
    n = -w[below].mean() if below.any() else torch.tensor(2.0**-1022).double()
    expected = torch.where(above, p, torch.where(below, -n, 0.0))
    close(y, expected)
    close(scale, torch.where(w > 0, p, n))
    close(grad, g * torch.where(above, p, torch.where(below, n, 1.0)))
    close(parameters["scaling_impl.positive"], g[above].sum())
    close(parameters["scaling_impl.negative"], -g[below].sum())
    assert bits == 2


def test_trained_ternary_threshold_is_a_fraction_of_ones_own():
    layer = nn.Linear(4, 1).double()
    w = torch.tensor([[1.0, -0.6, 0.4, -1.0]], dtype=torch.float64)
    layer.weight.data.copy_(w)
    y = built("TTQWeight", layer, threshold=0.5)(w)[0].detach()
    assert y.tolist() == [[1.0, -0.8, 0.0, -0.8]]


def test_threshold_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="threshold is 0; it must be a positive fraction"):
        built("TWNWeight", nn.Linear(2, 2), threshold=0)


# Scales from statistics and learned ones. (bits, per channel, learned)
WEIGHTS = {
    "SignedBinaryWeightPerTensorStats": (1, False, False),
    "SignedBinaryWeightPerChannelStats": (1, True, False),
    "SignedBinaryWeightPerTensorParam": (1, False, True),
    "SignedBinaryWeightPerChannelParam": (1, True, True),
    "SignedTernaryWeightPerTensorStats": (2, False, False),
    "SignedTernaryWeightPerChannelStats": (2, True, False),
    "SignedTernaryWeightPerTensorParam": (2, False, True),
    "SignedTernaryWeightPerChannelParam": (2, True, True),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weight_with_the_scale_of_its_mean_magnitude(name, layer):
    bits, per_channel, is_learned = WEIGHTS[name]
    w = layer.weight.detach()
    y, scale, width, grad, parameters, g = measured(built(name, layer), w)
    s = mean_over(w.abs(), per_channel)
    steps = w / s
    q = sign(w) if bits == 1 else torch.clamp(torch.round(steps), -1, 1)
    inside = torch.round(steps).abs() <= 1  # the clamp of a learned ternary scale stops outside
    close(scale, s)
    close(y, q * s)
    assert width == bits

    # binary: y = sign(w) s, dy/dw = s. Ternary: y = round(w / s) s, dy/dw = 1, dy/ds = q - w / s
    if bits == 1:
        to_w, to_s = g * s, g * q
    elif is_learned:
        to_w, to_s = torch.where(inside, g, 0.0), g * torch.where(inside, q - steps, q)
    else:
        to_w, to_s = g, g * (q - steps)
    to_s = to_s.sum(over_rest(w), keepdim=True) if per_channel else to_s.sum()
    if is_learned:
        close(parameters["scaling_impl.value"], to_s)
    else:
        n = w[0].numel() if per_channel else w.numel()
        to_w = to_w + to_s * torch.sign(w) / n  # through the mean
    close(grad, to_w)


ACTIVATIONS = {
    "SignedBinaryActPerTensorStats": 1,
    "SignedBinaryActPerTensorParam": 1,
    "SignedTernaryActPerTensorStats": 2,
    "SignedTernaryActPerTensorParam": 2,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_with_the_scale_of_the_mean_magnitude(name, backend):
    x = torch.tensor(X, dtype=torch.float64)
    quant = built(name, nn.Linear(1, 1))
    y, scale, bits, grad, _, g = measured(quant, x)
    s = x.abs().mean()
    steps = x / s
    if ACTIVATIONS[name] == 1:
        expected, slope = sign(x) * s, torch.where(x.abs() <= s, s, 0.0)
    else:
        expected = torch.clamp(torch.round(steps), -1, 1) * s
        slope = torch.where(torch.round(steps).abs() <= 1, 1.0, 0.0)
    close(scale, s)
    close(y, expected)
    close(grad, g * slope)
    assert bits == ACTIVATIONS[name]


@pytest.mark.parametrize(
    "name", ["SignedBinaryActPerTensorParam", "SignedTernaryActPerTensorParam"]
)
def test_learned_scale_of_an_activation_moves_after_its_first_batches(name):
    quant = built(name, nn.Linear(1, 1), collect_stats_steps=1)
    x = torch.tensor(X, dtype=torch.float64)
    quant(x)
    _, scale, _, _, parameters, g = measured(quant, x)
    s = x.abs().mean()
    if ACTIVATIONS[name] == 1:  # outside, the bound of the clamp is s as well
        to_s = g * sign(x) * torch.where(x.abs() <= s, 1.0, 1.0 + s)
    else:
        q = torch.clamp(torch.round(x / s), -1, 1)
        to_s = g * torch.where(torch.round(x / s).abs() <= 1, q - x / s, q)
    close(scale, s)
    close(parameters["scaling_impl.value"], to_s.sum())
