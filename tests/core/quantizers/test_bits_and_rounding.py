"""Learned bit widths, and random and learned rounding, in quantizers and layers."""

import copy
import pickle

import pytest
import torch

from qat.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from qat.quantizers import Int8WeightPerTensorFloat

LEARNED = {"bit_width_impl_type": "parameter", "bit_width": 4}
OF_WEIGHT = {f"weight_{name}": item for name, item in LEARNED.items()}


def linear(**kwargs):
    torch.manual_seed(1)
    return QuantLinear(16, 4, bias=False, **{**OF_WEIGHT, **kwargs})


def offset_of(proxy):
    """The parameter of a learned bit width, by its name."""
    ((_, parameter),) = [
        (name, p) for name, p in proxy.named_parameters() if "bit_width" in name.split(".")[-1]
    ]
    return parameter


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_optimizer_step_changes_the_width_that_is_used(direction, backend):
    layer = linear()
    optimizer = torch.optim.SGD([offset_of(layer.weight_quant)], lr=1.2)
    x = torch.randn(8, 16)
    before = layer.quant_weight()
    gradient = torch.autograd.grad(layer.quant_weight().bit_width, offset_of(layer.weight_quant))
    assert gradient[0].item() == 1.0
    loss = direction * layer.quant_weight().bit_width + 0.0 * layer(x).sum()
    loss.backward()
    optimizer.step()
    after = layer.quant_weight()
    assert (before.bit_width.item(), after.bit_width.item()) == (4.0, 4.0 - direction)
    # the grid is that of the whole number: +-7, +-3 or +-15
    top = 2 ** (after.bit_width.item() - 1) - 1
    assert torch.round(after.value / after.scale).abs().max().item() == top
    assert after.is_valid


@pytest.mark.parametrize("options", [{}, {"weight_scaling_impl_type": "parameter_from_stats"}])
def test_task_loss_moves_the_width(options):
    layer = linear(**options)
    target = layer.weight.detach().clone()
    (layer.quant_weight().value - target).square().sum().backward()
    # each bit more makes the error of the weight smaller
    assert offset_of(layer.weight_quant).grad.item() < 0


@pytest.mark.parametrize("scaling", ["stats", "parameter_from_stats"])
def test_gradient_to_the_width_is_that_of_the_formula(scaling, backend):
    layer = linear(weight_scaling_impl_type=scaling).double()
    made = layer.quant_weight()
    weights = torch.linspace(-1, 2, made.value.numel(), dtype=torch.float64).reshape(4, 16)
    (weights * made.value).sum().backward()

    # y = s q, s = t / (2**(b-1) - 1), db = ln2 2**(b-1): ds = -s ln2 2**(b-1) / (2**(b-1) - 1);
    # dy = (q - x / s) ds inside. No element is clipped: t = max|x|.
    x, s = layer.weight.detach(), made.scale.item()
    q = torch.round(x / s)
    ds = -s * torch.log(torch.tensor(2.0)).item() * 8 / 7
    expected = (weights * (q - x / s)).sum() * ds
    torch.testing.assert_close(
        offset_of(layer.weight_quant).grad.double(), expected, rtol=1e-4, atol=1e-8
    )


def test_clipped_elements_tell_the_width_to_grow():
    layer = linear(weight_scaling_impl_type="const", weight_scaling_const=7.0).double()
    with torch.no_grad():
        layer.weight.fill_(100.0)
    layer.quant_weight().value.sum().backward()
    # y = s qmax with s = 7 / qmax: what the finer step takes, the larger number gives
    assert offset_of(layer.weight_quant).grad.item() == pytest.approx(0.0, abs=1e-6)
    assert not layer.weight.grad.any()


@pytest.mark.parametrize("make", [QuantIdentity, QuantReLU])
def test_width_of_an_activation_is_learned(make):
    layer = make(return_quant_tensor=True, scaling_impl_type="parameter", max_val=2.0, **LEARNED)
    out = layer(torch.rand(4, 5))
    assert out.bit_width.item() == 4.0
    (out.value - 0.3).square().sum().backward()
    gradient = offset_of(layer.act_quant).grad
    assert bool(gradient.isfinite())
    assert gradient.item() != 0.0


def test_width_below_its_least_is_refused_and_the_least_can_be_lowered():
    with pytest.raises(ValueError, match="bit_width is 1 .* start from min_bit_width, 2"):
        linear(weight_bit_width=1, weight_narrow_range=False)
    layer = linear(weight_bit_width=1, weight_min_bit_width=1, weight_narrow_range=False)
    assert layer.quant_weight().bit_width.item() == 1.0


@pytest.mark.parametrize("choice", ["stateful_const", "parameter"])
def test_width_is_restored_from_the_state_dict(choice):
    layer = linear(weight_bit_width_impl_type=choice, weight_bit_width=6)
    other = linear(weight_bit_width_impl_type=choice)
    other.load_state_dict(layer.state_dict(), strict=True)
    assert other.quant_weight().bit_width.item() == 6.0
    assert torch.equal(other.quant_weight().value, layer.quant_weight().value)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_copy_learns_a_width_of_its_own(copied, backend):
    layer = linear()
    other = copied(layer)
    with torch.no_grad():
        offset_of(other.weight_quant).add_(3.0)
    widths = layer.quant_weight().bit_width.item(), other.quant_weight().bit_width.item()
    assert widths == (4.0, 7.0)


def test_kept_weight_is_quantized_again_after_the_width_has_changed(monkeypatch):
    monkeypatch.setattr("qat.proxy.reuse.weight_reuse.WORTH_KEEPING", 0)
    for choice in ("parameter", "stateful_const"):
        layer = linear(weight_bit_width_impl_type=choice).eval()
        bits = layer.weight_quant.tensor_quant.msb_clamp_bit_width_impl
        with torch.no_grad():
            layer.quant_weight()
            before = layer.quant_weight().value
            getattr(bits, "bit_width_offset" if choice == "parameter" else "bit_width").add_(2.0)
            assert layer.quant_weight().bit_width.item() == 6.0
            assert not torch.equal(layer.quant_weight().value, before)


def test_layer_with_learned_widths_compiles_into_one_graph(compiler):
    layer = QuantConv2d(3, 4, 3, weight_quant=Int8WeightPerTensorFloat, **OF_WEIGHT)
    x = torch.randn(1, 3, 5, 5)
    expected = layer(x)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), expected)
    compiled(x).sum().backward()
    assert bool(offset_of(layer.weight_quant).grad.isfinite())
    exported = torch.export.export(layer.eval(), (x,)).module()
    torch.testing.assert_close(exported(x), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_width_is_learned_in_every_dtype(dtype):
    layer = linear().to(dtype)
    layer(torch.randn(2, 16, dtype=dtype)).square().sum().backward()
    assert offset_of(layer.weight_quant).grad.dtype == dtype
    assert bool(offset_of(layer.weight_quant).grad.isfinite())


# Rounding

STOCHASTIC = {"float_to_int_impl_type": "stochastic_round"}
LEARNED_ROUND = {"float_to_int_impl_type": "learned_round"}


def of_weight(options):
    return {f"weight_{name}": item for name, item in options.items()}


def rounded(**kwargs):
    torch.manual_seed(1)
    return QuantLinear(16, 4, bias=False, **kwargs)


def steps(layer):
    """The weight in steps of its scale, and the integers it becomes."""
    made = layer.quant_weight()
    x = layer.weight.detach() / made.scale.detach()
    return x, torch.round(made.value.detach() / made.scale.detach())


def test_stochastic_weight_is_random_in_training_and_nearest_in_evaluation(backend):
    layer = rounded(**of_weight(STOCHASTIC))
    x, first = steps(layer)
    _, second = steps(layer)
    assert not torch.equal(first, second)
    assert bool(((first - x).abs() < 1).all())
    x, q = steps(layer.eval())
    assert torch.equal(q, torch.round(x))


def test_stochastic_weight_is_never_kept_while_it_is_random(monkeypatch):
    monkeypatch.setattr("qat.proxy.reuse.weight_reuse.WORTH_KEEPING", 0)
    layer = rounded(**of_weight(STOCHASTIC))
    drawn = [layer(torch.eye(16)) for _ in range(4)]
    assert not any(torch.equal(drawn[0], other) for other in drawn[1:])
    always = rounded(weight_deterministic_inference=False, **of_weight(STOCHASTIC)).eval()
    with torch.no_grad():
        drawn = [always.quant_weight().value for _ in range(4)]
    assert not any(torch.equal(drawn[0], other) for other in drawn[1:])


def test_stochastic_activation_is_repeated_by_its_seed():
    layer = QuantIdentity(scaling_impl_type="const", max_val=1.0, bit_width=3, **STOCHASTIC)
    x = torch.rand(50)
    torch.manual_seed(7)
    first = layer(x)
    torch.manual_seed(7)
    assert torch.equal(layer(x), first)
    assert not torch.equal(layer(x), first)
    mean = torch.stack([layer(x) for _ in range(400)]).mean(0)
    inside = x < 0.75  # the last integer
    torch.testing.assert_close(mean[inside], x[inside], rtol=0, atol=0.05)


@pytest.mark.parametrize("choice", ["hard_sigmoid", "sigmoid", "identity"])
def test_learned_rounding_is_chosen_by_name_and_trained(choice, backend):
    layer = rounded(weight_learned_round_impl_type=choice, **of_weight(LEARNED_ROUND))
    ((name, value),) = list(layer.weight_quant.named_parameters())
    assert name.endswith("float_to_int_impl.value")
    assert value.shape == layer.weight.shape
    optimizer = torch.optim.SGD([value], lr=10.0)
    target = layer.weight.detach() / layer.quant_weight_scale().detach() + 0.4
    first = None
    for _ in range(40):
        optimizer.zero_grad()
        made = layer.quant_weight()
        loss = (made.value / made.scale - target).square().mean()
        first = loss.item() if first is None else first
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.7 * first
    x, q = steps(layer.eval())
    assert torch.equal(q, torch.round(q))
    assert bool(((q - x).abs() <= 1.0).all())


def test_learned_rounding_is_watched_by_the_reuse_of_weights(monkeypatch):
    monkeypatch.setattr("qat.proxy.reuse.weight_reuse.WORTH_KEEPING", 0)
    layer = rounded(**of_weight(LEARNED_ROUND)).eval()
    rounding = layer.weight_quant.tensor_quant.int_quant
    with torch.no_grad():
        layer.quant_weight()
        x, down = steps(layer)
        rounding.float_to_int_impl.value.fill_(5.0)
        _, up = steps(layer)
    assert torch.equal(down, torch.floor(x))
    assert torch.equal(up, torch.floor(x).add(1).clamp(max=127))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_learned_rounding_is_copied_and_saved(copied):
    layer = rounded(**of_weight(LEARNED_ROUND))
    with torch.no_grad():
        for parameter in layer.weight_quant.parameters():
            parameter.normal_()
    expected = layer.eval().quant_weight().value
    assert torch.equal(copied(layer).quant_weight().value, expected)
    other = rounded(**of_weight(LEARNED_ROUND)).eval()
    other.load_state_dict(layer.state_dict(), strict=True)
    assert torch.equal(other.quant_weight().value, expected)


def test_settings_of_the_hard_sigmoid_are_attributes():
    layer = rounded(weight_learned_round_zeta=1.2, **of_weight(LEARNED_ROUND))
    impl = layer.weight_quant.tensor_quant.int_quant.float_to_int_impl.learned_round_impl
    assert impl.zeta == 1.2


def test_learned_rounding_of_an_activation_is_refused():
    with pytest.raises(ValueError, match="'learned_round', .* for activations choose another"):
        QuantIdentity(**LEARNED_ROUND)


def test_learned_rounding_on_a_shared_quantizer_is_refused():
    layer = rounded(**of_weight(LEARNED_ROUND))
    with pytest.raises(ValueError, match="'learned_round', but 2 layers share .* give each its"):
        QuantLinear(16, 4, weight_quant=layer.weight_quant)
