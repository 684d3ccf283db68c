"""An activation function in one pass with its quantizer."""

import copy
import math

import pytest
import torch
from torch import nn

from qat.enums import FloatToIntImplType
from qat.nn import QuantHardTanh, QuantReLU
from qat.nn.activation import QuantActivation
from qat.proxy import fusion
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8ActPerTensorFloatMinMaxInit,
    SignedBinaryActPerTensorConst,
    SignedTernaryActPerTensorConst,
    Uint8ActPerTensorFloat,
    Uint8ActPerTensorFloatMaxInit,
)

STATISTICS = {"collect_stats_steps": 2}


class FromInput(nn.Module):
    """Zero point that depends on what it is called with."""

    def forward(self, x: torch.Tensor, scale: torch.Tensor, bit_width: torch.Tensor):
        return torch.round(x.detach().min() / scale) + 3.0


LAYERS = {
    "relu": lambda: QuantReLU(bit_width=4, **STATISTICS),
    "relu_fixed": lambda: QuantReLU(act_quant=Uint8ActPerTensorFloatMaxInit, max_val=1.0),
    "relu_shifted": lambda: QuantReLU(zero_point_impl=FromInput, **STATISTICS),
    "relu_binary": lambda: QuantReLU(act_quant=SignedBinaryActPerTensorConst),
    "hard_tanh": lambda: QuantHardTanh(bit_width=3, scaling_impl_type="const"),
    "hard_tanh_learned": lambda: QuantHardTanh(
        act_quant=Int8ActPerTensorFloat, min_val=-0.6, max_val=0.9, **STATISTICS
    ),
    "hard_tanh_ternary": lambda: QuantHardTanh(
        act_quant=SignedTernaryActPerTensorConst, min_val=-1.0, max_val=1.0
    ),
    "relu6": lambda: QuantActivation(nn.ReLU6(), Uint8ActPerTensorFloat, **STATISTICS),
}
#: Native ops and TorchScript share their kernels; what TorchScript has of its own are the calls:
#: a scale that is stored, one that is found, and another quantizer than of integers.
IN_SCRIPT = ("relu", "hard_tanh", "relu_binary")
EACH_ONCE = [(name, backend) for name in LAYERS for backend in ("python", "native")]
EACH_ONCE += [(name, "jit") for name in IN_SCRIPT]


def sample(*shape) -> torch.Tensor:
    x = torch.randn(shape or (4, 30))
    x.view(-1)[:4] = torch.tensor([0.0, -0.0, 7.0, -7.0])
    return x


def step(layer, x, apart=False):
    """Output, gradients, buffers of one call; ``apart``: function and quantizer one by one."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    proxy = layer.act_quant
    y = proxy.tensor_quant(proxy.activation_impl(x))[0] if apart else layer(x)
    (y * torch.linspace(1, 2, y.numel()).reshape(y.shape)).sum().backward()
    gradients = [p.grad for p in layer.parameters()]
    return [y.detach(), x.grad], gradients, [b.clone() for b in layer.buffers()]


def assert_same_step(layer, x) -> None:
    reference = copy.deepcopy(layer)
    bits, gradients, buffers = step(layer, x)
    expected_bits, expected_gradients, expected_buffers = step(reference, x, apart=True)
    for a, b in zip(bits + buffers, expected_bits + expected_buffers, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(gradients, expected_gradients, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name, backend", EACH_ONCE, indirect=["backend"])
def test_training_in_and_after_the_statistics_and_evaluation_are_as_apart(name, backend):
    layer = LAYERS[name]()
    for _ in range(4):  # the statistics end after two
        assert_same_step(layer, sample())
    layer.eval()
    assert_same_step(layer, sample())
    layer.train()
    assert_same_step(layer, sample())


@pytest.fixture
def calls(monkeypatch):
    """What the activation function was called on, module by module."""
    seen = []
    for kind in (nn.ReLU, nn.Hardtanh):
        original = kind.forward

        def counted(module, x, original=original):
            seen.append(type(module).__name__)
            return original(module, x)

        monkeypatch.setattr(kind, "forward", counted)
    return seen


@pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)
def test_clamp_in_front_of_a_standard_quantizer_is_not_called(calls, backend):
    for name in ("relu", "relu_fixed", "relu_binary", "hard_tanh", "hard_tanh_ternary"):
        layer = LAYERS[name]()
        for _ in range(3):
            layer(sample())
        assert calls == [], name


def test_function_is_called_where_the_zero_point_follows_from_what_it_gives(calls, backend):
    layer = LAYERS["relu_shifted"]()
    layer(sample())
    assert calls == ["ReLU"]


def test_hooks_of_the_function_go_on_running(calls, backend):
    layer, x = LAYERS["relu_fixed"](), sample()
    expected = layer(x)
    function, seen = layer.act_quant.activation_impl, []
    for register in (function.register_forward_hook, function.register_forward_pre_hook):
        handle = register(lambda module, *rest: seen.append(module))
        assert torch.equal(layer(x), expected)
        handle.remove()
    handle = function.register_full_backward_hook(lambda module, *rest: seen.append(module))
    layer(x.requires_grad_()).sum().backward()
    handle.remove()
    handle = function.register_full_backward_pre_hook(lambda module, *rest: seen.append(module))
    layer(x).sum().backward()
    handle.remove()
    assert seen == [function] * 4 and calls == ["ReLU"] * 4


def test_calibration_gives_what_the_function_gives_and_takes_statistics(calls):
    layer, x = QuantReLU(collect_stats_steps=5), sample()
    layer.act_quant.is_calibrating = True
    assert torch.equal(layer(x), torch.relu(x))
    assert int(layer.act_quant.tensor_quant.scaling_impl.counter) == 1
    assert calls == ["ReLU"]


def test_quantization_switched_off_leaves_the_function(calls):
    layer, x = LAYERS["relu_fixed"](), sample()
    layer.act_quant.disable_quant = True
    assert torch.equal(layer(x), torch.relu(x)) and calls == ["ReLU"]


class OwnReLU(nn.ReLU):
    def forward(self, x):
        return torch.relu(x) + 1.0


@pytest.mark.parametrize("function", [nn.Sigmoid(), nn.Softplus(), OwnReLU(), nn.LeakyReLU(0.1)])
def test_function_that_is_no_known_clamp_is_called(function, backend):
    layer, x = QuantActivation(function, Uint8ActPerTensorFloatMaxInit, max_val=2.0), sample()
    q = torch.round(function(x) / (2 / 255)).clamp(0, 255)
    torch.testing.assert_close(layer(x), q * (2 / 255))


@pytest.mark.parametrize("function", [nn.ReLU(inplace=True), nn.Hardtanh(inplace=True)])
def test_function_that_works_in_place_leaves_its_input_where_fused(function, backend):
    layer = QuantActivation(function, Int8ActPerTensorFloatMinMaxInit, min_val=-1.0, max_val=1.0)
    x = sample()
    apart = layer.act_quant.tensor_quant(function(x.clone()))[0]
    assert torch.equal(layer(x), apart)


def test_bounds_of_the_function_may_change(backend):
    layer, x = LAYERS["hard_tanh"](), sample()
    for bound in (0.5, 0.25):
        layer.act_quant.activation_impl.max_val = bound
        assert layer(x).detach().max().item() == bound


def test_nan_passes_and_infinity_saturates(backend):
    y = LAYERS["relu_fixed"]()(torch.tensor([math.nan, math.inf, -math.inf]))
    assert y.isnan().tolist() == [True, False, False]
    assert y[1:].tolist() == [1.0, 0.0]


def test_quantizer_with_a_delay_hands_through_what_the_function_gives(backend):
    layer = QuantReLU(act_quant=Uint8ActPerTensorFloatMaxInit, max_val=1.0, quant_delay_steps=1)
    x = sample()
    assert "composed" in repr(layer.act_quant)
    assert torch.equal(layer(x), torch.relu(x))
    assert_same_step(layer, x)


def test_representation_says_how_the_quantizer_computes(backend):
    assert "fused" in repr(LAYERS["relu_fixed"]().act_quant)
    own = QuantReLU(
        act_quant=Uint8ActPerTensorFloatMaxInit,
        max_val=1.0,
        float_to_int_impl_type=FloatToIntImplType.FLOOR,
    )
    assert "composed" in repr(own.act_quant)
    assert fusion.describe(own.act_quant.tensor_quant) == "composed"


@pytest.mark.parametrize(
    "name, backend", [("relu_fixed", "python"), ("hard_tanh", "native")], indirect=["backend"]
)
def test_compiled_layer_gives_the_same_numbers(name, backend):
    torch._dynamo.reset()
    layer, x = LAYERS[name](), sample()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [f(leaf) for f, leaf in zip((compiled, layer), leaves, strict=True)]
    for y in outputs:
        y.sum().backward()
    assert torch.equal(*outputs) and torch.equal(leaves[0].grad, leaves[1].grad)
