"""Random and learned rounding in quantizers and layers."""

import copy
import pickle

import pytest
import torch

from qat.nn import QuantIdentity, QuantLinear

STOCHASTIC = {"float_to_int_impl_type": "stochastic_round"}
LEARNED = {"float_to_int_impl_type": "learned_round"}


def of_weight(options):
    return {f"weight_{name}": item for name, item in options.items()}


def linear(**kwargs):
    torch.manual_seed(1)
    return QuantLinear(16, 4, bias=False, **kwargs)


def steps(layer):
    """The weight in steps of its scale, and the integers it becomes."""
    made = layer.quant_weight()
    x = layer.weight.detach() / made.scale.detach()
    return x, torch.round(made.value.detach() / made.scale.detach())


def test_stochastic_weight_is_random_in_training_and_nearest_in_evaluation(backend):
    layer = linear(**of_weight(STOCHASTIC))
    x, first = steps(layer)
    _, second = steps(layer)
    assert not torch.equal(first, second)
    assert bool(((first - x).abs() < 1).all())
    x, q = steps(layer.eval())
    assert torch.equal(q, torch.round(x))


def test_stochastic_weight_is_never_kept_while_it_is_random(monkeypatch):
    monkeypatch.setattr("qat.proxy.reuse.weight_reuse.WORTH_KEEPING", 0)
    layer = linear(**of_weight(STOCHASTIC))
    drawn = [layer(torch.eye(16)) for _ in range(4)]
    assert not any(torch.equal(drawn[0], other) for other in drawn[1:])
    always = linear(weight_deterministic_inference=False, **of_weight(STOCHASTIC)).eval()
    with torch.no_grad():
        drawn = [always.quant_weight().value for _ in range(4)]
    assert not any(torch.equal(drawn[0], other) for other in drawn[1:])


def test_stochastic_activation_is_repeated_by_its_seed(backend):
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
    layer = linear(weight_learned_round_impl_type=choice, **of_weight(LEARNED))
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
    layer = linear(**of_weight(LEARNED)).eval()
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
    layer = linear(**of_weight(LEARNED))
    with torch.no_grad():
        for parameter in layer.weight_quant.parameters():
            parameter.normal_()
    expected = layer.eval().quant_weight().value
    assert torch.equal(copied(layer).quant_weight().value, expected)
    other = linear(**of_weight(LEARNED)).eval()
    other.load_state_dict(layer.state_dict(), strict=True)
    assert torch.equal(other.quant_weight().value, expected)


def test_settings_of_the_hard_sigmoid_are_attributes():
    layer = linear(weight_learned_round_zeta=1.2, **of_weight(LEARNED))
    impl = layer.weight_quant.tensor_quant.int_quant.float_to_int_impl.learned_round_impl
    assert impl.zeta == 1.2


def test_learned_rounding_of_an_activation_is_refused():
    with pytest.raises(ValueError, match="'learned_round', .* for activations choose another"):
        QuantIdentity(**LEARNED)


def test_learned_rounding_on_a_shared_quantizer_is_refused():
    layer = linear(**of_weight(LEARNED))
    with pytest.raises(ValueError, match="'learned_round', but 2 layers share .* give each its"):
        QuantLinear(16, 4, weight_quant=layer.weight_quant)


@pytest.mark.parametrize("options", [STOCHASTIC, LEARNED], ids=["stochastic", "learned"])
def test_layer_compiles_into_one_graph(options, compiler):
    layer, x = linear(**of_weight(options)), torch.randn(2, 16)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    compiled(x).sum().backward()
    assert bool(layer.weight.grad.isfinite().all())
    layer.eval()
    torch.testing.assert_close(compiled(x), layer(x))
    exported = torch.export.export(layer, (x,)).module()
    torch.testing.assert_close(exported(x), layer(x))
