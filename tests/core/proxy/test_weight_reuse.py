"""An unchanged weight is not quantized twice, a changed one is."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from qat import config, jit
from qat.components import RescalingIntQuant, RoundSte
from qat.nn import QuantLinear
from qat.proxy.reuse import weight_reuse as reuse
from qat.quantizers import Int8WeightPerTensorFloat

LEARNED = {"weight_scaling_impl_type": "parameter_from_stats", "weight_bit_width": 4}


@pytest.fixture(autouse=True)
def small_weights_too(monkeypatch):
    monkeypatch.setattr(reuse, "WORTH_KEEPING", 0)


@pytest.fixture(autouse=True)
def eager_quantizers(monkeypatch):
    """Those that TorchScript compiles are never reused, and cannot be spied on."""
    monkeypatch.setattr(config, "JIT_ENABLED", False)


@pytest.fixture
def calls(monkeypatch):
    """A list that grows by one with every call of an integer quantizer."""
    made, forward = [], RescalingIntQuant.forward

    def counted(self, *args):
        made.append(None)
        return forward(self, *args)

    monkeypatch.setattr(RescalingIntQuant, "forward", counted)
    return made


@pytest.fixture(params=[LEARNED, {}], ids=["learned", "statistics"])
def layer(request):
    return QuantLinear(6, 5, **request.param)


def fresh(layer):
    """What quantizing now gives, whatever is kept."""
    with torch.no_grad():
        return layer.weight_quant.tensor_quant(layer.weight)[0]


def sgd(layer):
    return torch.optim.SGD(layer.parameters(), lr=0.1)


def train(layer, batches, optimizer):
    optimizer.zero_grad()
    for x in batches:
        layer(x).square().sum().backward()
    optimizer.step()


# Evaluation


def test_evaluation_quantizes_a_weight_once(layer, calls):
    layer.eval()
    x = torch.randn(3, 6)
    with torch.no_grad():
        outputs = [layer(x) for _ in range(3)]
    assert len(calls) == 1
    assert all(torch.equal(outputs[0], out) for out in outputs)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_evaluation_keeps_no_graph(mode, layer):
    layer.eval()
    with mode():
        layer.quant_weight()
    (history,) = layer.weight_quant._reuse._histories.values()
    assert all(x.grad_fn is None and not x.requires_grad for x in history.kept.quantized)


def test_inference_mode_uses_what_was_kept_without_it(layer, calls):
    layer.eval()
    x = torch.randn(3, 6)
    with torch.inference_mode():
        first = layer(x)
        assert torch.equal(layer(x), first)
    with torch.no_grad():
        assert torch.equal(layer(x), first)
    assert len(calls) == 1


def optimizer_step(layer):
    with torch.enable_grad():
        train(layer, torch.randn(1, 3, 6), sgd(layer))


def write_in_place(layer):
    layer.weight[0, 0] += 3.0


def replace_the_parameter(layer):
    layer.weight = nn.Parameter(torch.randn_like(layer.weight))


def replace_the_memory(layer):
    layer.weight.data = torch.randn_like(layer.weight)


def load(layer):
    layer.load_state_dict(QuantLinear(6, 5, **LEARNED).state_dict(), strict=False)


def load_by_assignment(layer):
    state = QuantLinear(6, 5, **LEARNED).state_dict()
    layer.load_state_dict(state, strict=False, assign=True)


def convert(layer):
    layer.double()


def write_through_data_and_switch_the_mode(layer):
    layer.weight.data.mul_(2.0)
    layer.eval()


def write_through_data_and_forget(layer):
    layer.weight.data.mul_(2.0)
    layer.weight_quant.forget()


def change_a_setting(layer):
    layer.weight_quant.tensor_quant.int_quant.narrow_range = False


def replace_a_part(layer):
    layer.weight_quant.tensor_quant.int_quant.float_to_int_impl = RoundSte()


def rebuild(layer):
    layer.weight_quant.init_tensor_quant()


CHANGES = [
    optimizer_step,
    write_in_place,
    replace_the_parameter,
    replace_the_memory,
    load,
    load_by_assignment,
    convert,
    write_through_data_and_switch_the_mode,
    write_through_data_and_forget,
    change_a_setting,
    replace_a_part,
    rebuild,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_has_changed_is_quantized_again(change, layer, calls):
    layer.eval()
    with torch.no_grad():
        layer.quant_weight()
        layer.quant_weight()
        change(layer)
        layer.eval()
        calls.clear()
        value = layer.quant_weight().value
    assert len(calls) == 1
    assert torch.equal(value, fresh(layer))


def test_a_learned_scale_that_changes_is_seen(calls):
    layer = QuantLinear(6, 5, **LEARNED).eval()
    with torch.no_grad():
        before = layer.quant_weight_scale()
        layer.weight_quant.tensor_quant.scaling_impl.value.mul_(2.0)
        assert torch.equal(layer.quant_weight_scale(), 2 * before)


@pytest.mark.parametrize("field", ["value", "scale"])
def test_a_result_that_somebody_wrote_into_is_not_given_again(field, layer, calls):
    layer.eval()
    with torch.no_grad():
        getattr(layer.quant_weight(), field).mul_(7.0)
        assert torch.equal(layer.quant_weight().value, fresh(layer))


def test_requiring_grad_of_a_result_leaves_the_next_one_alone(layer, calls):
    layer.eval()
    with torch.no_grad():
        layer.quant_weight().value.requires_grad_()
        assert not layer.quant_weight().value.requires_grad


def test_weights_that_share_a_quantizer_are_kept_side_by_side(calls):
    first = QuantLinear(6, 5)
    second = QuantLinear(6, 5, weight_quant=first.weight_quant).eval()
    with torch.no_grad():
        for _ in range(3):
            values = [first.quant_weight().value, second.quant_weight().value]
        assert len(calls) == 2
        # its statistic is part of the scale of the first
        second.weight.mul_(50.0)
        assert not torch.equal(first.quant_weight().value, values[0])
        assert torch.equal(first.quant_weight().value, fresh(first))


# Training


@pytest.mark.parametrize("options", [LEARNED, {}], ids=["learned", "statistics"])
def test_accumulated_gradients_are_those_without_reuse(options, backend, monkeypatch):
    layer = QuantLinear(6, 5, **options)
    twin = copy.deepcopy(layer)
    optimizers = sgd(layer), sgd(twin)
    for _ in range(3):
        batches = torch.randn(3, 4, 6)
        monkeypatch.setattr(reuse, "WORTH_KEEPING", 0)
        train(layer, batches, optimizers[0])
        monkeypatch.setattr(reuse, "WORTH_KEEPING", 2**62)
        train(twin, batches, optimizers[1])
        for ours, plain in zip(layer.parameters(), twin.parameters(), strict=True):
            assert torch.equal(ours.grad, plain.grad)
            assert torch.equal(ours, plain)


def test_accumulation_quantizes_once_per_step_once_it_is_known(layer, calls):
    optimizer, counts = sgd(layer), []
    for _ in range(3):
        calls.clear()
        train(layer, torch.randn(3, 4, 6), optimizer)
        counts.append(len(calls))
    assert counts == [2, 1, 1]  # the first use of all is not kept


def test_ordinary_training_keeps_nothing(layer, calls):
    optimizer = sgd(layer)
    for _ in range(3):
        train(layer, torch.randn(1, 4, 6), optimizer)
    assert len(calls) == 3
    assert all(h.kept is None for h in layer.weight_quant._reuse._histories.values())


def test_small_weights_are_quantized_again_where_they_need_a_gradient(layer, calls, monkeypatch):
    monkeypatch.setattr(reuse, "WORTH_KEEPING", layer.weight.numel() + 1)
    train(layer, torch.randn(3, 4, 6), sgd(layer))
    assert len(calls) == 3


def uses_in_one_graph(layer, x):
    quantized = [layer.quant_weight() for _ in range(3)]
    weight = sum(w.value * w.scale for w in quantized)
    return (x @ weight.T).square().sum()


def gradients(layer, x, is_kept, monkeypatch, function):
    monkeypatch.setattr(reuse, "WORTH_KEEPING", 0 if is_kept else 2**62)
    layer.zero_grad()
    function(layer, x)
    return [p.grad.clone() for p in layer.parameters() if p.grad is not None]


def backward(layer, x):
    uses_in_one_graph(layer, x).backward()


def double_backward(layer, x):
    loss = uses_in_one_graph(layer, x)
    (grad,) = torch.autograd.grad(loss, layer.weight, create_graph=True)
    grad.square().sum().backward()


@pytest.mark.parametrize("function", [backward, double_backward])
def test_gradients_through_value_and_scale_of_several_uses(function, layer, backend, monkeypatch):
    x = torch.randn(4, 6)
    kept = gradients(layer, x, True, monkeypatch, function)
    plain = gradients(layer, x, False, monkeypatch, function)
    assert len(kept) == len(plain) > 0
    torch.testing.assert_close(kept, plain)


def test_a_hook_on_the_weight_sees_its_gradient_once(layer):
    x = torch.randn(4, 6)
    backward(layer, x)
    expected = 2 * layer.weight.grad
    layer.zero_grad()
    layer.weight.register_hook(lambda grad: 2 * grad)
    backward(layer, x)
    torch.testing.assert_close(layer.weight.grad, expected)


def test_checkpointed_layers_train(layer):
    x = torch.randn(4, 6, requires_grad=True)
    optimizer = sgd(layer)
    for _ in range(3):
        for _ in range(2):
            checkpoint(layer, x, use_reentrant=False).sum().backward()
        optimizer.step()


# What is not kept, and for how long


class RandomRound(nn.Module):
    def forward(self, x):
        return torch.floor(x + torch.rand_like(x))


class RandomWeight(Int8WeightPerTensorFloat):
    float_to_int_impl = RandomRound


@pytest.mark.parametrize(
    "options",
    [{"weight_quant": RandomWeight}, {"weight_quant_delay_steps": 2}],
    ids=["random", "delayed"],
)
def test_a_quantizer_that_may_give_something_else_is_called_every_time(options, calls):
    layer = QuantLinear(6, 5, **options)
    for _ in range(4):
        layer.quant_weight()
    assert len(calls) == 4


def test_random_rounding_is_drawn_anew_in_evaluation():
    layer = QuantLinear(6, 5, weight_quant=RandomWeight).eval()
    with torch.no_grad():
        assert not torch.equal(layer.quant_weight().value, layer.quant_weight().value)


def test_a_hook_on_the_quantizer_sees_every_call(layer, calls):
    layer.eval()
    seen = []
    with torch.no_grad():
        layer.quant_weight()
        layer.weight_quant.tensor_quant.register_forward_hook(lambda *_: seen.append(None))
        layer.quant_weight()
        layer.quant_weight()
    assert len(seen) == 2


def test_transforms_of_functions_quantize_what_they_are_given(layer):
    layer.eval()
    parameters = dict(layer.named_parameters())
    x = torch.randn(3, 6)
    with torch.no_grad():
        expected = layer(x)
        doubled = {name: 2 * parameter for name, parameter in parameters.items()}
        assert not torch.equal(torch.func.functional_call(layer, doubled, (x,)), expected)
        per_sample = torch.vmap(lambda row: layer(row))(x)
    torch.testing.assert_close(per_sample, expected)


def test_compiled_code_follows_the_weight(layer, monkeypatch):
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", False)
    layer.eval()
    x = torch.randn(3, 6)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(compiled(x), layer(x))
            layer.weight.mul_(2.0)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_starts_without_what_was_kept(copied, layer, backend):
    layer.eval()
    x = torch.randn(3, 6)
    with torch.no_grad():
        expected = layer(x)
        twin = copied(layer)
        assert not twin.weight_quant._reuse._histories
        assert torch.equal(twin(x), expected)
        twin.weight.mul_(2.0)
        assert torch.equal(layer(x), expected)


def test_what_is_kept_is_not_in_the_state_dict_and_dies_with_the_layer():
    layer = QuantLinear(6, 5, **LEARNED)
    keys = list(layer.state_dict())
    for _ in range(3):
        layer(torch.randn(2, 6)).sum().backward()
    assert list(layer.state_dict()) == keys
    assert any(h.kept is not None for h in layer.weight_quant._reuse._histories.values())
    weight = weakref.ref(layer.weight)
    del layer
    gc.collect()
    assert weight() is None


@pytest.mark.skipif(not jit.is_available(), reason="this torch has no TorchScript")
def test_scripted_quantizers_follow_the_weight(monkeypatch):
    monkeypatch.setattr(config, "JIT_ENABLED", True)
    layer = QuantLinear(6, 5).eval()
    with torch.no_grad():
        before = layer.quant_weight().value
        assert torch.equal(layer.quant_weight().value, before)
        layer.weight.mul_(2.0)
        torch.testing.assert_close(layer.quant_weight().value, 2 * before)
