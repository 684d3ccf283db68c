"""The fused quantizers under the machinery of torch: opcheck, threads, meta tensors, compilers."""

import warnings

import pytest
import torch
from torch import Tensor

from qat import ops

ONE = torch.tensor(1.0)


def calls(x: Tensor, scale: Tensor, lo=None, hi=None):
    """Every op of the library that a fused quantizer is made of, with arguments."""
    grad, zero, grid = torch.ones_like(x), torch.zeros_like(scale), (4 * ONE, True, False)
    public = {
        "int_fake_quantize": (x, scale, zero, *grid, True, lo, hi),
        "binary_fake_quantize": (x, scale, True, lo, hi),
        "ternary_fake_quantize": (x, scale, 0.5, lo, hi),
    }
    x, scale = x.detach(), scale.detach()
    return public, {
        "int_fake_quantize_forward": (x, scale, zero, *grid, lo, hi),
        "int_fake_quantize_backward": (grad, x, scale, zero, *grid, True, lo, hi, True),
        "binary_fake_quantize_forward": (x, scale, lo, hi),
        "binary_fake_quantize_backward": (grad, x, scale, True, lo, hi),
        "ternary_fake_quantize_forward": (x, scale, 0.5, lo, hi),
        "ternary_fake_quantize_backward": (grad, x, scale, 0.5, lo, hi),
    }


PUBLIC, PARTS = calls(torch.zeros(1), ONE)


MEMORY = {
    "contiguous": torch.randn(3, 4),
    "transposed": torch.randn(4, 3).t(),
    "empty": torch.empty(0, 4),
    "strided": torch.randn(3, 8)[:, ::2],
    "channels_last": torch.randn(2, 4, 3, 3).to(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("name", [*PUBLIC, *PARTS])
def test_opcheck_passes(name, memory, use_backend):
    use_backend("native")
    x = MEMORY[memory]
    per_channel = torch.rand(x.shape[1:2] + (1,) * (x.dim() - 2)) + 0.1
    for scale, lo, hi in ((0.3 * ONE, -0.5, 0.9), (per_channel, None, None)):
        inputs = (t.detach().requires_grad_() for t in (x, scale))
        public, parts = calls(*inputs, lo, hi)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # opcheck looks at .grad of what is no leaf
            op = getattr(torch.ops.qat, name).default
            torch.library.opcheck(op, public.get(name) or parts[name])


@pytest.mark.parametrize("name", [*PUBLIC, *PARTS])
def test_native_op_gives_shapes_for_meta_tensors(name, use_backend):
    use_backend("native")
    public, parts = calls(torch.randn(5, 4), torch.rand(4) + 0.1, 0.0, None)
    arguments = public.get(name) or parts[name]
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
    "tensor": ((200_003,), (), torch.contiguous_format),
    "rows": ((3, 5, 20_001), (5, 1), torch.contiguous_format),
    "short_rows": ((9_001, 8, 3), (8, 1), torch.contiguous_format),
    "columns": ((8, 24, 37, 41), (24, 1, 1), torch.channels_last),
    "groups": ((40, 50, 130), (40, 50, 1), torch.contiguous_format),
    "composed": ((40, 50, 130), (40, 1, 130), torch.contiguous_format),
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


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_one_thread_and_two_give_the_same_bits(name, dtype, use_backend):
    use_backend("native")
    shape, scale_shape, memory_format = LARGE[name]
    x = torch.randn(shape).to(dtype=dtype, memory_format=memory_format)
    scale, zero = torch.rand(scale_shape).to(dtype) + 0.05, torch.zeros(scale_shape, dtype=dtype)
    cases = [
        (lambda *t: ops.int_fake_quantize(*t, True, False, True, -1.0), (x, scale, zero, 4 * ONE)),
        (lambda x, scale: ops.binary_fake_quantize(x, scale, True), (x, scale)),
        (lambda x, scale: ops.ternary_fake_quantize(x, scale, 0.5), (x, scale)),
    ]
    gradient = torch.randn(shape).to(dtype)
    for function, inputs in cases:
        one = values_and_gradients(1, function, inputs, gradient)
        two = values_and_gradients(2, function, inputs, gradient)
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def all_three(x, scale, zero_point, bits):
    y = ops.int_fake_quantize(x, scale, zero_point, bits, False, False, True, 0.0, 1.5)
    y = y + 3 * ops.int_fake_quantize(x, scale, zero_point, bits, True, True, False)
    y = y + 5 * ops.binary_fake_quantize(x, scale, True, None, 1.0)
    return y * (1 + ops.ternary_fake_quantize(x, scale, 0.5))


def assert_compiled_is_eager(rtol=0.0, **options):
    torch._dynamo.reset()
    compiled = torch.compile(all_three, fullgraph=True, **options)
    x, gradient = torch.randn(6, 40), torch.randn(6, 40)
    for scale in (torch.tensor(0.3), torch.rand(6, 1) * 0.3 + 0.1):
        inputs = x, scale, torch.ones_like(scale), 3 * ONE
        found = values_and_gradients(1, compiled, inputs, gradient)
        expected = values_and_gradients(1, all_three, inputs, gradient)
        assert torch.equal(found[0], expected[0]) or rtol > 0
        for a, b in zip(found, expected, strict=True):
            # sums of other order, or in float64
            torch.testing.assert_close(a, b, rtol=rtol or 1e-5, atol=1e-4)


def test_compiles_as_one_graph_with_the_same_numbers(backend):
    assert_compiled_is_eager(backend="aot_eager")


@pytest.mark.slow
def test_inductor_gives_the_same_numbers(toolchain, backend):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of inductor's own making
        assert_compiled_is_eager(rtol=1e-5)
