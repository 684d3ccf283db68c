"""Quantizers of few bits from papers, against formulas written out here."""

import math

import pytest
import torch
from torch import nn

from qat.components import LSQPlusStep
from qat.nn import QuantIdentity, QuantReLU
from qat.ops import Bounds
from qat.quantizers import PACTAct, ready_made

close = torch.testing.assert_close
BITS = [2, 3, 4, 8]


def built(name, layer=None, **overrides):
    layer = nn.Linear(1, 1) if layer is None else layer
    return ready_made(name).let(module=layer, **overrides).tensor_quant.double()


def measured(quant, x):
    """Outputs, and gradients of ``sum(g * y)`` to ``x`` and the parameters, with ``g``."""
    x = x.detach().clone().requires_grad_()
    outputs = quant(x)
    y = outputs[0]
    g = torch.linspace(-1.0, 2.0, y.numel(), dtype=y.dtype).reshape(y.shape)
    (g * y).sum().backward()
    parameters = {name: parameter.grad for name, parameter in quant.named_parameters()}
    return [item.detach() for item in outputs], x.grad, parameters, g


def conv():
    torch.manual_seed(4)
    return nn.Conv2d(3, 4, 3).double()


def activations():
    torch.manual_seed(5)
    return torch.cat([torch.randn(6, 7).double(), torch.full((1, 7), 0.0).double()])


@pytest.mark.parametrize("bits", BITS)
def test_dorefa_weight_is_equation_nine(bits):
    w = conv().weight.detach()
    (y, scale, zero_point, width), grad, _, g = measured(
        built("DoReFaWeight", conv(), bit_width=bits), w
    )
    n = 2**bits - 1
    tanh = torch.tanh(w)
    m = tanh.abs().max()
    close(y, 2 * torch.round(n * (tanh / (2 * m) + 0.5)) / n - 1)

    # dy / dt = 1 for t = tanh / m; the maximum takes part
    at_maximum = torch.where(tanh.abs() == m, torch.sign(tanh), 0.0)
    to_tanh = g / m - at_maximum * (g * tanh).sum() / m**2
    close(grad, to_tanh * (1 - tanh**2))

    # as integers: odd ones, one bit more
    q = y / scale
    close(q, q.round(), rtol=0, atol=1e-9)
    assert bool((q.round() % 2 == 1).all())
    assert (zero_point.item(), width.item()) == (0.0, bits + 1.0)
    assert q.abs().max() <= 2**bits - 1


def test_dorefa_weight_of_one_bit_is_equation_eight():
    w = conv().weight.detach()
    (y, scale, _, width), grad, _, g = measured(built("DoReFaWeight", conv(), bit_width=1), w)
    close(y, torch.where(w < 0, -1.0, 1.0).double() * w.abs().mean())
    close(grad, g)
    assert width.item() == 1


def test_dorefa_weight_of_zeros_stays_finite(backend):
    quant = built("DoReFaWeight", nn.Linear(2, 2))
    (y, *_), grad, _, _ = measured(quant, torch.zeros(2, 2).double())
    assert y.abs().max().item() == pytest.approx(1 / 15)  # there is no zero
    assert bool(grad.isfinite().all())


@pytest.mark.parametrize("bits", [32, 0])
def test_dorefa_weight_of_too_many_bits_is_refused(bits):
    with pytest.raises(ValueError, match=f"bit_width is {bits}"):
        built("DoReFaWeight", conv(), bit_width=bits)


BOUNDED = {"DoReFaAct": 1.0, "PACTAct": 1.25}


@pytest.mark.parametrize("bits", [1, *BITS])
@pytest.mark.parametrize("name", BOUNDED)
def test_bounded_activation_is_clipped_then_rounded(name, bits):
    bound, n = BOUNDED[name], 2**bits - 1
    x = torch.tensor([-2.0, -1e-3, 0.0, 0.1, 0.5, 0.97, bound, bound + 1e-3, 4.0]).double()
    quant = built(name, bit_width=bits, max_val=bound)
    (y, scale, zero_point, width), grad, parameters, g = measured(quant, x)
    close(scale.item(), bound / n)
    close(y, torch.round(torch.clamp(x, 0, bound) * n / bound) * bound / n)
    close(grad, torch.where((x > 0) & (x < bound), g, 0.0))
    assert (zero_point.item(), width.item()) == (0.0, bits)
    if name == "PACTAct":
        close(parameters["scaling_impl.value"], g[x >= bound].sum())
    else:
        assert not parameters


def test_pact_starts_at_ten_and_takes_a_start_of_ones_own():
    x = torch.tensor([100.0]).double()
    assert built("PACTAct")(x)[0].item() == 10
    assert built("PACTAct", scaling_const=3.0)(x)[0].item() == pytest.approx(3)


def test_pact_takes_the_activation_function_in_front_into_its_pass(backend):
    relu, plain = QuantReLU(act_quant=PACTAct), QuantIdentity(act_quant=PACTAct)
    x = torch.randn(50) * 8
    gradients = []
    for layer in (relu, plain):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        y.sum().backward()
        gradients.append(
            [y.detach(), leaf.grad, layer.act_quant.tensor_quant.scaling_impl.value.grad]
        )
    for a, b in zip(*gradients, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("lo", "hi"), [(-1.0, 1.0), (0.5, 2.0), (0.0, 6.0)])
def test_pact_behind_a_bounded_function_is_pact_of_its_result(lo, hi):
    quant, x = built("PACTAct", max_val=1.5), torch.linspace(-3, 7, 41).double()
    assert torch.equal(quant(x, Bounds(lo, hi))[0], quant(torch.clamp(x, lo, hi))[0])


def lsq_reference(x, s, low, high, g):
    """LSQ eq. 1 to 3: value, gradient to ``x``, gradient to the step per element."""
    v = x / s
    q = torch.clamp(torch.round(v), low, high)
    inside = torch.round(v) == q
    return q * s, torch.where(inside, g, 0.0), g * torch.where(inside, q - v, q)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
def test_lsq_weight_starts_and_learns_as_published(bits, per_channel):
    name = "LSQWeightPerChannel" if per_channel else "LSQWeightPerTensor"
    layer = conv()
    w = layer.weight.detach()
    quant = built(name, layer, bit_width=bits)
    (y, scale, zero_point, width), grad, parameters, g = measured(quant, w)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    mean = w.abs().mean((1, 2, 3), keepdim=True) if per_channel else w.abs().mean()
    s = 2 * mean / math.sqrt(high)
    expected, to_w, to_s = lsq_reference(w, s, low, high, g)
    count = w[0].numel() if per_channel else w.numel()
    to_s = to_s.sum((1, 2, 3), keepdim=True) if per_channel else to_s.sum()
    close(scale, s)
    close(y, expected)
    close(grad, to_w)
    close(parameters["scaling_impl.value"], to_s / math.sqrt(count * high))
    assert (zero_point.item(), width.item()) == (0.0, bits)


LSQ_ACTS = {"LSQAct": True, "LSQUnsignedAct": False}


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", LSQ_ACTS)
def test_lsq_activation_starts_at_the_first_batch_and_learns_as_published(name, bits, backend):
    is_signed = LSQ_ACTS[name]
    low = -(2 ** (bits - 1)) if is_signed else 0
    high = 2 ** (bits - 1) - 1 if is_signed else 2**bits - 1
    first, x = activations(), 2 * activations().flip(0)
    quant = built(name, bit_width=bits)
    s = 2 * first.abs().mean() / math.sqrt(high)
    close(quant(first)[1], s)
    (y, scale, _, width), grad, parameters, g = measured(quant, x)
    expected, to_x, to_s = lsq_reference(x, s, low, high, g)
    close(scale, s)
    close(y, expected)
    close(grad, to_x)
    features = x[0].numel()
    close(parameters["scaling_impl.value"], to_s.sum() / math.sqrt(features * high))
    assert width.item() == bits


def test_lsq_of_a_tensor_without_batch_counts_all_of_it():
    quant = built("LSQAct")
    x = torch.randn(9).double()
    quant(x)
    (_, s, _, _), _, parameters, g = measured(quant, x)
    to_s = lsq_reference(x, s, -8, 7, g)[2]
    close(parameters["scaling_impl.value"], to_s.sum() / math.sqrt(9 * 7))


def test_lsq_of_one_signed_bit_is_refused():
    with pytest.raises(ValueError, match="bit_width is 1: a learned step needs an integer above 0"):
        built("LSQWeightPerTensor", bit_width=1)


def test_lsq_of_one_unsigned_bit_is_zero_or_the_step():
    quant = built("LSQUnsignedAct", bit_width=1)
    y, s, *_ = quant(torch.tensor([[0.0, 0.1, 5.0]]).double())
    assert y.tolist() == [[0.0, 0.0, s.item()]]


def test_lsq_weights_that_are_shared_count_all_elements():
    first, second = nn.Linear(3, 4).double(), nn.Linear(3, 4).double()
    quant = ready_made("LSQWeightPerTensor").let(module=(first, second)).tensor_quant.double()
    joined = torch.cat([first.weight, second.weight], dim=1).detach()
    close(quant(first.weight)[1].detach(), 2 * joined.abs().mean() / math.sqrt(7))
    (_, s, _, _), _, parameters, g = measured(quant, first.weight.detach())
    to_s = lsq_reference(first.weight.detach(), s, -8, 7, g)[2]
    close(parameters["scaling_impl.value"], to_s.sum() / math.sqrt(24 * 7))


# LSQ+


def skewed():
    torch.manual_seed(6)
    x = torch.randn(40, 25).double()
    return x * torch.sigmoid(x)  # swish: from -0.28 to about 3


@pytest.mark.parametrize("bits", BITS)
def test_lsq_plus_has_the_values_and_gradients_of_its_formula(bits, backend):
    quant = built("LSQPlusAct", bit_width=bits)
    first, x, high = skewed(), 1.5 * skewed().flip(0), 2**bits - 1
    quant(first)
    b = dict(quant.named_parameters())["zero_point_impl.value"].detach().clone()
    (y, s, z, width), grad, parameters, g = measured(quant, x)
    close(z, torch.clamp(torch.round(-b / s), 0, high))
    q = torch.clamp(torch.round(x / s) + z, 0, high)
    inside = q == torch.round(x / s) + z
    close(y, (q - z) * s)
    close(grad, torch.where(inside, g, 0.0))
    factor = 1 / math.sqrt(25 * high)
    to_s = g * torch.where(inside, q - z - x / s, q - z - b / s)
    close(parameters["scaling_impl.value"], factor * to_s.sum())
    close(parameters["zero_point_impl.value"], factor * g[~inside].sum())
    assert width.item() == bits


@pytest.mark.parametrize("bits", BITS)
def test_lsq_plus_starts_better_than_the_range_of_the_first_batch(bits):
    quant, x, high = built("LSQPlusAct", bit_width=bits), skewed(), 2**bits - 1
    y = quant(x)[0].detach()
    step = (x.max() - x.min()) / high
    offset = x.min()
    by_range = torch.clamp(torch.round((x - offset) / step), 0, high) * step + offset
    # the offset is rounded to the grid, which costs up to half a step
    allowed = ((by_range - x) ** 2).mean() * 1.1
    assert ((y - x) ** 2).mean() <= allowed


def test_lsq_plus_fits_a_grid_exactly_where_there_is_one():
    levels = torch.tensor([-0.2, -0.1, 0.0, 0.1, 0.3, 0.5]).double()
    x = levels.repeat(4, 10)
    y, s, z, _ = built("LSQPlusAct", bit_width=3)(x)
    close(s, torch.tensor(0.1).double())
    assert z.item() == 2
    close(y, x)


@pytest.mark.parametrize("constant", [0.0, 0.7, -0.7])
def test_lsq_plus_of_a_constant_batch_keeps_it(constant):
    x = torch.full((2, 3), constant).double()
    y, s, z, _ = built("LSQPlusAct")(x)
    close(y, x)
    assert s.item() > 0 and 0 <= z.item() <= 15


def test_lsq_plus_that_saw_nothing_has_no_offset():
    quant = built("LSQPlusAct").eval()
    _, scale, zero_point, _ = quant(torch.randn(2, 3).double())
    assert (scale.item(), zero_point.item()) == (1.0, 0.0)


def test_lsq_plus_per_channel_is_known_and_not_built():
    with pytest.raises(NotImplementedError, match="LSQ\\+ with a step per channel"):
        LSQPlusStep(4, False, False, stats_reduce_dim=1)
