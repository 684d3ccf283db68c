"""Fused quantizers under autograd: gradcheck, double backward, what is kept, threads, kernels."""

import warnings

import pytest
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.graph import saved_tensors_hooks

from qat import ops
from qat.ops import Bounds, IntGrid

DOUBLE = torch.float64
# For steps of 0.5 and a zero point of 1: between -8 and 7, the ends of four bits, or beyond them.
POINTS = torch.tensor([-9.0, -3.9, -3.0, -1.3, -0.6, 0.1, 0.4, 1.2, 2.4, 4.2, 7.0], dtype=DOUBLE)


def leaves(*tensors: Tensor) -> list[Tensor]:
    return [t.detach().clone().requires_grad_() for t in tensors]


class Surrogate(Function):
    """Value of a smooth function, gradient of the op that is claimed to have the same."""

    @staticmethod
    def forward(ctx, smooth, op, *inputs):
        ctx.save_for_backward(*inputs)
        ctx.op = op
        return smooth(*inputs)

    @staticmethod
    def backward(ctx, grad):
        inputs = leaves(*ctx.saved_tensors)
        with torch.enable_grad():
            y = ctx.op(*inputs)
        return None, None, *torch.autograd.grad(y, inputs, grad)


def assert_gradient_of(smooth, op, inputs) -> None:
    inputs = leaves(*inputs)
    assert torch.allclose(smooth(*inputs), op(*inputs), rtol=1e-12)
    assert torch.autograd.gradcheck(lambda *args: Surrogate.apply(smooth, op, *args), inputs)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
def test_int_gradient_is_that_of_a_function_without_the_rounding_error(
    per_channel, signed, backend
):
    x = torch.stack([POINTS, -0.9 * POINTS]) + (0.0 if signed else 4.0)  # in the middle of the grid
    shape = (2, 1) if per_channel else ()
    scale, zero = torch.full(shape, 0.5, dtype=DOUBLE), torch.full(shape, 1.0, dtype=DOUBLE)
    error = torch.round(x / scale) - x / scale

    def smooth(x, scale, zero_point, bits):
        low = -(2 ** (bits - 1)) if signed else torch.zeros_like(bits)
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        q = torch.maximum(torch.minimum(x / scale + error + zero_point, high), low)
        return (q - zero_point) * scale

    def op(x, scale, zero_point, bits):
        return ops.int_fake_quantize(x, scale, IntGrid(zero_point, bits, signed, False), True)

    assert_gradient_of(smooth, op, (x, scale, zero, torch.tensor(4.0, dtype=DOUBLE)))


@pytest.mark.parametrize("clipped", [False, True])
def test_binary_gradient_is_that_of_the_clamp_times_the_scale(clipped, backend):
    def clamp(x, scale):
        return torch.maximum(torch.minimum(x, scale), -scale) if clipped else x

    scale = torch.tensor(2.0, dtype=DOUBLE)
    error = torch.sign(POINTS) - clamp(POINTS, scale)
    assert_gradient_of(
        lambda x, scale: (clamp(x, scale) + error) * scale,
        lambda x, scale: ops.binary_fake_quantize(x, scale, clipped),
        (POINTS, scale),
    )


def test_ternary_gradient_is_that_of_the_input_times_the_scale_where_not_zero(backend):
    scale = torch.tensor(2.0, dtype=DOUBLE)
    far = POINTS.abs() > 0.5 * scale
    error = torch.sign(POINTS) - POINTS
    assert_gradient_of(
        lambda x, scale: (x + error) * scale * far,
        lambda x, scale: ops.ternary_fake_quantize(x, scale, 0.5),
        (POINTS, scale),
    )


def int_quantize(x, scale):
    grid = IntGrid(torch.zeros_like(scale), torch.tensor(3.0), True, False)
    return ops.int_fake_quantize(x, scale, grid, True, Bounds(None, 1.5))


CALLS = {
    "int": int_quantize,
    "binary": lambda x, scale: ops.binary_fake_quantize(x, scale, True, Bounds(0.0, None)),
    "binary_unclipped": lambda x, scale: ops.binary_fake_quantize(x, scale, False),
    "ternary": lambda x, scale: ops.ternary_fake_quantize(x, scale, 0.5, Bounds(-0.8, 0.8)),
}
every_call = pytest.mark.parametrize("name", CALLS)


@every_call
def test_each_gradient_is_the_same_where_only_one_is_asked_for(name, backend):
    x, scale = torch.randn(40, 9), torch.rand(9) * 0.3 + 0.1
    both = leaves(x, scale)
    of_both = torch.autograd.grad(CALLS[name](*both).sum(), both)
    only_x, only_scale = leaves(x, scale)
    CALLS[name](only_x, scale).sum().backward()
    CALLS[name](x, only_scale).sum().backward()
    assert torch.equal(only_x.grad, of_both[0]) and torch.equal(only_scale.grad, of_both[1])
    assert not CALLS[name](x, scale).requires_grad
    with torch.no_grad():
        assert not CALLS[name](*both).requires_grad


@every_call
def test_gradients_differentiated_by_the_incoming_one_are_the_terms_of_the_sums(name, backend):
    # Both gradients are linear in the incoming one, g: d(sum(a gx) + b gs)/dg is found by g = 1 at
    # each single element.
    x, scale = leaves(torch.randn(12, dtype=DOUBLE), torch.tensor(0.3, dtype=DOUBLE))
    g = torch.randn(12, dtype=DOUBLE, requires_grad=True)
    weights = torch.randn(12, dtype=DOUBLE)

    def combined(g, create_graph):
        y = CALLS[name](x, scale)
        to_x, to_scale = torch.autograd.grad(y, (x, scale), g, create_graph=create_graph)
        return (weights * to_x).sum() + 3.0 * to_scale

    (found,) = torch.autograd.grad(combined(g, True), g)
    expected = torch.stack([combined(unit, False) for unit in torch.eye(12, dtype=DOUBLE)])
    torch.testing.assert_close(found, expected)


@every_call
@pytest.mark.parametrize("scale_shape", [(), (16, 1, 1)])
def test_input_is_all_that_is_kept_for_the_backward_pass(name, scale_shape, backend):
    x, scale = leaves(torch.randn(4, 16, 10, 10), torch.full(scale_shape, 0.3))
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        y = CALLS[name](x, scale)
    assert kept.pop(x.untyped_storage().data_ptr()).untyped_storage().nbytes() == 4 * x.numel()
    parameters = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    assert parameters <= 3 * 4 * 16 and y.untyped_storage().data_ptr() not in kept


@every_call
def test_input_changed_in_place_before_the_backward_pass_is_refused(name, backend):
    (x,) = leaves(torch.randn(20))
    inner = x * 1
    y = CALLS[name](inner, torch.tensor(0.3))
    inner.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


# On a CPU the native backward may write over the incoming gradient, where nobody else has it.


def watched_gradients(name, shape, watch):
    """Gradients of x and scale, on the way from a result that ``watch`` looks at."""
    torch.manual_seed(0)
    x = torch.randn(6, 8, 40, requires_grad=True)
    scale = torch.full(shape, 0.5, requires_grad=True)
    y = CALLS[name](x * 1.0, scale)
    seen = watch(y)
    (y * torch.linspace(-1, 1, 40)).sum().backward()
    return (x.grad, scale.grad), seen


@every_call
@pytest.mark.parametrize("shape", [(), (8, 1), (40,)], ids=str)
def test_a_gradient_that_somebody_else_holds_is_left_alone(name, shape, backend):
    expected = torch.linspace(-1, 1, 40).expand(6, 8, 40)
    found, _ = watched_gradients(name, shape, lambda y: None)

    def hold(y):
        held = []
        y.register_hook(held.append)
        return held

    def retain(y):
        y.retain_grad()
        return y

    same, held = watched_gradients(name, shape, hold)
    assert all(map(torch.equal, same, found)) and torch.equal(held[0], expected)
    same, y = watched_gradients(name, shape, retain)
    assert all(map(torch.equal, same, found)) and torch.equal(y.grad, expected)


@every_call
def test_the_callers_gradient_is_left_alone(name, backend):
    x = torch.randn(3, 40, requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    incoming = torch.randn(3, 40)
    before = incoming.clone()
    for give in (incoming, incoming.view(120).view(3, 40), incoming.T.contiguous().T):
        y = CALLS[name](x, scale)
        torch.autograd.grad(y, (x, scale), give)
        assert torch.equal(incoming, before)


@every_call
def test_two_uses_of_a_result_add_up(name, backend):
    def gradient(uses):
        torch.manual_seed(0)
        x = torch.randn(3, 40, requires_grad=True)
        y = CALLS[name](x * 1.0, torch.tensor(0.5))
        uses(y).backward()
        return x.grad

    once = gradient(lambda y: (y * 3.0).sum())
    assert torch.allclose(gradient(lambda y: (y + y.view(-1).view(3, 40) + y).sum()), once)
    # The same gradient flows to two quantizers behind one sum.
    x = torch.randn(3, 40, requires_grad=True)
    a, b = CALLS[name](x * 1.0, torch.tensor(0.5)), CALLS[name](x * 1.0, torch.tensor(0.5))
    (a + b).square().sum().backward()
    y = x.detach().clone().requires_grad_()
    one = CALLS[name](y, torch.tensor(0.5))
    (to_y,) = torch.autograd.grad(one, y, 8 * one.detach())
    assert torch.allclose(x.grad, to_y)


# Kernels, under the names that only the native ops call


def kernels(x: Tensor, scale: Tensor, lo, hi):
    """Every kernel, with arguments."""
    grad, zero, grid = torch.ones_like(x), torch.zeros_like(scale), (4 * ONE, True, False)
    return {
        "int_fake_quantize_forward": (x, scale, zero, *grid, lo, hi),
        "int_fake_quantize_backward": (grad, x, scale, zero, *grid, True, lo, hi, True),
        "binary_fake_quantize_forward": (x, scale, lo, hi),
        "binary_fake_quantize_backward": (grad, x, scale, True, lo, hi),
        "ternary_fake_quantize_forward": (x, scale, 0.5, lo, hi),
        "ternary_fake_quantize_backward": (grad, x, scale, 0.5, lo, hi),
    }


ONE = torch.tensor(1.0)
MEMORY = {
    "contiguous": torch.randn(3, 4),
    "transposed": torch.randn(4, 3).t(),
    "empty": torch.empty(0, 4),
    "strided": torch.randn(3, 8)[:, ::2],
    "channels_last": torch.randn(2, 4, 3, 3).to(memory_format=torch.channels_last),
}
every_kernel = pytest.mark.parametrize("name", kernels(ONE, ONE, None, None))


@every_kernel
def test_opcheck_passes(name, use_backend):
    use_backend("native")
    op = getattr(torch.ops.qat, name).default
    for x in MEMORY.values():
        per_channel = torch.rand(x.shape[1:2] + (1,) * (x.dim() - 2)) + 0.1
        for scale, lo, hi in ((0.3 * ONE, -0.5, 0.9), (per_channel, None, None)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # opcheck looks at .grad of what is no leaf
                checks = ("test_schema", "test_faketensor")
                torch.library.opcheck(op, kernels(x, scale, lo, hi)[name], test_utils=checks)


@every_kernel
def test_kernel_gives_shapes_for_meta_tensors(name, use_backend):
    use_backend("native")
    arguments = kernels(torch.randn(5, 4), torch.rand(4) + 0.1, 0.0, None)[name]
    op = getattr(torch.ops.qat, name)
    shapes = op(*(a.to("meta") if isinstance(a, Tensor) else a for a in arguments))
    results = op(*arguments)
    if isinstance(results, Tensor):
        shapes, results = (shapes,), (results,)
    for shape, result in zip(shapes, results, strict=True):
        assert shape.device.type == "meta"
        assert (shape.shape, shape.dtype) == (result.shape, result.dtype)


# name -> shapes of x and scale, memory format; all larger than what one thread gets
LARGE = {
    "tensor": ((70_003,), (), torch.contiguous_format),
    "rows": ((3, 5, 5_001), (5, 1), torch.contiguous_format),
    "short_rows": ((3_001, 8, 3), (8, 1), torch.contiguous_format),
    "columns": ((4, 24, 31, 29), (24, 1, 1), torch.channels_last),
    "groups": ((20, 30, 130), (20, 30, 1), torch.contiguous_format),
    "composed": ((20, 30, 130), (20, 1, 130), torch.contiguous_format),
}


def values_and_gradients(threads, function, inputs, gradient):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        leaves = [t.detach().clone().requires_grad_() for t in inputs]
        y = function(*leaves)
        return y.detach(), *torch.autograd.grad(y, leaves, gradient)
    finally:
        torch.set_num_threads(before)


def int_of(x, scale, zero_point, bits):
    grid = IntGrid(zero_point, bits, True, False)
    return ops.int_fake_quantize(x, scale, grid, True, Bounds(-1.0, None))


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_one_thread_and_two_give_the_same_bits(name, dtype, use_backend):
    use_backend("native")
    shape, scale_shape, memory_format = LARGE[name]
    x = torch.randn(shape).to(dtype=dtype, memory_format=memory_format)
    scale, zero = torch.rand(scale_shape).to(dtype) + 0.05, torch.zeros(scale_shape, dtype=dtype)
    cases = [
        (int_of, (x, scale, zero, 4 * ONE)),
        (lambda x, scale: ops.binary_fake_quantize(x, scale, True), (x, scale)),
        (lambda x, scale: ops.ternary_fake_quantize(x, scale, 0.5), (x, scale)),
    ]
    gradient = torch.randn(shape).to(dtype)
    for function, inputs in cases:
        one = values_and_gradients(1, function, inputs, gradient)
        two = values_and_gradients(2, function, inputs, gradient)
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
