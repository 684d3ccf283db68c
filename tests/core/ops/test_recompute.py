"""A convolution keeps how its input was made, not the input."""

import copy

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from qat import ops
from qat.nn import QuantConv2d, QuantLinear, QuantReLU
from qat.ops import Bounds, IntGrid, recompute
from qat.quantizers import Uint8ActPerTensorFloatMaxInit

SCALE, ZERO, BITS = torch.tensor(0.1), torch.tensor(0.0), torch.tensor(4.0)
#: What the op is called with behind its input.
GRID = (SCALE, IntGrid(ZERO, BITS, False, False), True, Bounds(0.0, None))


@pytest.fixture(autouse=True)
def native(use_backend, monkeypatch):
    """The native ops, and no tensor too small."""
    use_backend("native")
    monkeypatch.setattr(recompute, "SMALLEST", 0)


def build() -> nn.Sequential:
    torch.manual_seed(0)
    relu = QuantReLU(act_quant=Uint8ActPerTensorFloatMaxInit, max_val=2.0, bit_width=4)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), relu, QuantConv2d(8, 4, 3))


def an_input() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8)


def gradients(model, x, run=None):
    x = x.clone().requires_grad_()
    y = model(x) if run is None else run(model, x)
    y.square().sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in model.parameters())]


def assert_same_bits(found, expected) -> None:
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def without_recipes(monkeypatch, model, x, **kwargs):
    with monkeypatch.context() as patch:
        patch.setattr(recompute, "SMALLEST", 10**12)
        return gradients(copy.deepcopy(model), x, **kwargs)


KEPT = {"Convolution": "_saved_input", "Addmm": "_saved_mat1", "Mm": "_saved_self"}


def kept_by(y) -> tuple[torch.Tensor, torch.Tensor]:
    """What the product that ``y`` comes out of keeps of its input, asked for twice."""
    function = y.grad_fn
    while not any(type(function).__name__.startswith(name) for name in KEPT):
        function = function.next_functions[0][0]
    name = type(function).__name__.partition("Backward")[0]
    return getattr(function, KEPT[name]), getattr(function, KEPT[name])


def is_made_anew(y) -> bool:
    """Whether a recipe is kept: what it gives lies at another place each time."""
    first, second = kept_by(y)
    assert torch.equal(first, second)
    return first.data_ptr() != second.data_ptr()


def test_gradients_are_those_without_it_to_the_bit(monkeypatch):
    model, x = build(), an_input()
    assert_same_bits(gradients(model, x), without_recipes(monkeypatch, model, x))


def test_convolution_does_not_keep_its_input():
    model, x = build(), an_input()
    y = model(x)
    assert is_made_anew(y)
    assert torch.equal(kept_by(y)[0], model[1](model[0](x)))


@pytest.mark.parametrize("shape", [(6, 16), (3, 2, 16)], ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_linear_layer_does_not_keep_its_input(shape, bias):
    layer = QuantLinear(16, 4, bias=bias)
    x = torch.randn(*shape, requires_grad=True)
    quantized = ops.int_fake_quantize(x, *GRID)
    y = layer(quantized)
    assert is_made_anew(y)
    assert torch.equal(kept_by(y)[0].reshape(shape), quantized)
    expected = torch.nn.functional.linear(quantized, layer.quant_weight().value, layer.bias)
    found, wanted = (
        torch.autograd.grad(v.square().sum(), (x, layer.weight), retain_graph=True)
        for v in (y, expected)
    )
    assert_same_bits(found, wanted)


def test_small_inputs_are_kept_themselves(monkeypatch):
    monkeypatch.setattr(recompute, "SMALLEST", 2 * 8 * 8 * 8)
    assert is_made_anew(build()(an_input()))
    monkeypatch.setattr(recompute, "SMALLEST", 2 * 8 * 8 * 8 + 1)
    assert not is_made_anew(build()(an_input()))


QUANTIZERS = {
    "int": lambda x: ops.int_fake_quantize(x, *GRID),
    "threshold": lambda x: ops.threshold_int_fake_quantize(x, SCALE, 0.0, 7 * SCALE, *GRID[1:])[0],
    "maximum": lambda x: ops.maximum_int_fake_quantize(
        x, 0, [], 0.0, torch.tensor(7.0), IntGrid(ZERO, BITS, True, True), True
    )[0],
    "binary": lambda x: ops.binary_fake_quantize(x, SCALE, True, Bounds(None, 1.0)),
    "ternary": lambda x: ops.ternary_fake_quantize(x, SCALE, 0.5),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "channels-last", "strided"])
@pytest.mark.parametrize("quantize", QUANTIZERS)
def test_recipe_makes_the_same_bits(quantize, layout, dtype):
    x = torch.randn(2, 3, 6, 8, dtype=dtype)
    if layout == "channels-last":
        x = x.to(memory_format=torch.channels_last)
    if layout == "strided":
        x = x[..., ::2]
    quantized = QUANTIZERS[quantize](x.requires_grad_())
    y = torch.nn.functional.conv2d(
        quantized, torch.ones(1, 3, 1, 1, dtype=dtype, requires_grad=True)
    )
    ops.keep_recipe(y, quantized)
    again, _ = kept_by(y)
    assert again.data_ptr() != quantized.data_ptr()
    assert torch.equal(again, quantized) and again.stride() == quantized.stride()


def test_in_python_the_input_itself_is_kept(use_backend):
    use_backend("python")
    assert not is_made_anew(build()(an_input()))


def test_a_tensor_that_no_quantizer_made_is_kept_itself():
    layer = nn.Conv2d(3, 4, 1)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    quantized = ops.int_fake_quantize(x, *GRID)
    for other in (x * 1, quantized + 0, quantized[:1]):
        y = layer(other)
        ops.keep_recipe(y, other)
        assert not is_made_anew(y)
    y = layer(x * 1)
    ops.keep_recipe(y, quantized)  # not the input of the layer
    assert not is_made_anew(y)


def behind_a_copy(x, change=None):
    """An input that may be changed in place, quantized, in front of a linear layer."""
    layer = QuantLinear(16, 4)
    inner = x * 1
    y = layer(ops.int_fake_quantize(inner, *GRID))
    if change is not None:
        change(inner)
    return y


@pytest.mark.parametrize("change", [lambda t: t.add_(1), lambda t: t[0].zero_()])
def test_input_changed_in_place_before_the_backward_pass_is_refused(change):
    y = behind_a_copy(torch.randn(5, 16, requires_grad=True), change)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("place", [0, 1, 2], ids=["scale", "zero_point", "bit_width"])
def test_grid_changed_in_place_before_the_backward_pass_is_refused(place):
    layer, (scale, zero, bits) = QuantLinear(16, 4), (SCALE + 0, ZERO + 0, BITS + 0)
    grid = scale, IntGrid(zero, bits, False, False)
    y = layer(ops.int_fake_quantize(torch.randn(6, 16, requires_grad=True), *grid, *GRID[2:]))
    (scale, zero, bits)[place].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(y.sum(), layer.weight)


def test_result_changed_in_place_is_kept_itself():
    layer = nn.Conv2d(3, 4, 1)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)

    def run(quantize_in_place):
        y = ops.int_fake_quantize(x, *GRID)
        y = y.mul_(2.0) if quantize_in_place else 2.0 * y
        out = layer(y)
        ops.keep_recipe(out, y)
        return torch.autograd.grad(out.square().sum(), (x, layer.weight))

    assert_same_bits(run(True), run(False))


def test_activation_checkpointing_gives_the_same_bits(monkeypatch):
    def run(model, x):
        return checkpoint(model, x, use_reentrant=False)

    model, x = build(), an_input()
    expected = gradients(copy.deepcopy(model), x)
    assert_same_bits(gradients(model, x, run), expected)


def test_hooks_of_the_caller_see_every_tensor():
    model, x = build(), an_input()
    seen = []
    with saved_tensors_hooks(lambda t: seen.append(t.shape) or t, lambda t: t):
        model(x)
    assert torch.Size([2, 8, 8, 8]) in seen
    assert all(isinstance(shape, torch.Size) for shape in seen)


def test_second_backward_pass_and_second_derivatives_are_right(monkeypatch):
    model, x = build(), an_input().requires_grad_()

    def twice():
        (first,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), [x, *model.parameters()])

    found = twice()
    monkeypatch.setattr(recompute, "SMALLEST", 10**12)
    for a, b in zip(found, twice(), strict=True):
        torch.testing.assert_close(a, b)


def test_backward_pass_can_be_run_again_where_the_graph_is_retained():
    model, x = build(), an_input().requires_grad_()
    y = model(x).square().sum()
    first = torch.autograd.grad(y, list(model.parameters()), retain_graph=True)
    assert_same_bits(torch.autograd.grad(y, list(model.parameters())), first)


def test_evaluation_without_gradient_keeps_nothing():
    model, x = build(), an_input()
    expected = model(x)
    with torch.no_grad():
        assert torch.equal(model(x), expected)
    with torch.inference_mode():
        assert torch.equal(model(x), expected)
