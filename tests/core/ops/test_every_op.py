"""Every op of the table, on both backends and under torch."""

import doctest
import importlib
import inspect
import math
import pkgutil
import warnings

import pytest
import torch
from torch import Tensor

import qat.ops
from qat import ops
from qat.enums import SignGradient
from qat.ops.table import OPS

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
UNARY = [row.name for row in OPS.values() if row.schema.endswith("(Tensor x) -> Tensor")]
NATIVE = [row.name for row in OPS.values() if row.native]
#: Those whose result is no tensor in the shape of their first argument.
REDUCING = ("abs_kth_largest", "maximum_int_fake_quantize")


def examples(x: Tensor) -> dict[str, list[tuple]]:
    """By op: what it is called with behind ``x``; more than once where that leads another way."""

    def number(value):
        return torch.tensor(value, dtype=x.dtype, device=x.device)

    scale, bound, one = number(0.25), number(2.0), number(1.0)
    lo, hi = number(-1.0), number(2.0)
    channels = x.shape[1:2] + (1,) * (x.dim() - 2)
    of_channels = torch.linspace(0.2, 0.6, channels.numel()).to(x).reshape(channels)
    grid, to_range = (one, number(4.0), True, False), number(8.0)
    rows = x.shape[0] if x.dim() else 1
    row_shape = [rows] + [1] * max(x.dim() - 1, 0)
    return {
        **dict.fromkeys(UNARY, [()]),
        "scalar_clamp_ste": [(-1.0, 2.0)],
        "scalar_clamp_min_ste": [(-1.0,)],
        "tensor_clamp": [(lo, hi)],
        "tensor_clamp_ste": [(lo, hi)],
        "tensor_clamp_ste_": [(lo, hi)],
        "positive_ste": [(0.0,), (0.5,)],
        "scale_from_threshold": [(to_range,)],
        "int_fake_quantize": [(scale, *grid, True), (of_channels, *grid, False, -0.6, 0.9)],
        "threshold_int_fake_quantize": [
            (bound, 0.1, to_range, *grid, True),
            (of_channels, 0.0, to_range, *grid, False, 0.0, None),
        ],
        "maximum_int_fake_quantize": [
            (0, [], 0.1, to_range, *grid, True),
            (rows, row_shape, 0.0, to_range, *grid, False),
        ],
        "binary_fake_quantize": [(scale, True), (of_channels, False, None, 1.0)],
        "ternary_fake_quantize": [(scale, 0.5), (of_channels, 0.0, -0.8, 0.8)],
        "abs_kth_largest": [(1,), (3,)],
        "estimated_binary_quantize": [(scale, str(each), one) for each in SignGradient],
        "two_sided_ternary_quantize": [(scale, bound, one, True), (scale, bound, one, False)],
        "pact_fake_quantize": [(bound, bound / 4, 2 * bound)],
        "scaled_gradient": [(0.5,)],
        "float_step": [(3, -6)],
        "float_fake_quantize": [
            (scale, 3, -6, -448.0, 448.0, None, True),
            (scale, 2, -14, -57344.0, 57344.0, math.inf, False),
        ],
    }


def results(name, x, arguments, function=None) -> list[Tensor]:
    """What an op gives, as a list; one that works in place gets a copy."""
    function = OPS[name].call if function is None else function
    x = x * 1 if name.endswith("_") else x
    made = function(x, *arguments)
    return [made] if isinstance(made, Tensor) else list(made)


def with_gradient(name, x, arguments) -> list[Tensor]:
    """Results, and the gradient to ``x`` for an incoming one without zeros."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    made = results(name, x, arguments)
    wanted = [y for y in made if y.requires_grad]
    if not wanted:
        return made
    steps = [torch.linspace(0.5, 2.0, y.numel()).reshape(y.shape) for y in wanted]
    weights = [torch.empty_like(y).copy_(g) for y, g in zip(wanted, steps, strict=True)]
    return [*(y.detach() for y in made), *torch.autograd.grad(wanted, x, weights)]


def awkward(dtype) -> Tensor:
    """Halves, both zeros, ends of the type, infinities and NaN among random numbers."""
    info = torch.finfo(dtype)
    special = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.125, -0.375, -0.6, 0.9, 2.0, -1.0]
    special += [info.max, info.min, info.tiny, -info.tiny / 4, math.inf, -math.inf, math.nan]
    numbers = torch.cat([torch.tensor(special, dtype=torch.float64), torch.randn(220).double()])
    return numbers.to(dtype).reshape(6, 40)


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Equal shapes, dtypes and values; NaN is equal to NaN, the two zeros are not equal."""
    if (a.shape, a.dtype) != (b.shape, b.dtype) or not torch.equal(a.isnan(), b.isnan()):
        return False
    a, b = a.nan_to_num(7.0, math.inf, -math.inf), b.nan_to_num(7.0, math.inf, -math.inf)
    return torch.equal(a, b) and torch.equal(a.signbit(), b.signbit())


every_op = pytest.mark.parametrize("name", OPS)
every_native_op = pytest.mark.parametrize("name", NATIVE)
every_elementwise_op = pytest.mark.parametrize("name", [n for n in OPS if n not in REDUCING])


# The table itself


def test_every_op_has_an_example_here():
    assert set(examples(torch.zeros(1, 1))) == set(OPS)


@every_op
def test_registered_schema_is_that_of_the_table(name, use_backend):
    use_backend("native")
    ops.ensure_registered()
    schema = getattr(torch.ops.qat, name).default._schema
    assert str(schema) == f"qat::{OPS[name].schema}"


@every_op
def test_torchscript_knows_the_function_of_an_op_as_the_registered_op(name, toolchain):
    ops.ensure_registered()
    # the table of torch that qat.torchscript.compile_as_op enters them in, for want of a public one
    assert torch.jit._builtins._find_builtin(OPS[name].call) == f"qat::{name}"


def test_an_op_alone_is_not_compiled_and_says_so(toolchain):
    ops.ensure_registered()
    with pytest.raises(RuntimeError, match="qat::round_ste is an op already; compile a function"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated
            torch.jit.script(ops.round_ste)


MODULES = [
    module
    for found in pkgutil.iter_modules(qat.ops.__path__, "qat.ops.")
    if not found.ispkg and ">>>" in inspect.getsource(module := importlib.import_module(found.name))
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_in_the_documentation_are_true(module):
    runner, finder = doctest.DocTestRunner(), doctest.DocTestFinder(recurse=False)
    for function in vars(module).values():
        if inspect.isfunction(function) and function.__module__ == module.__name__:
            for example in finder.find(function, module=False, globs=dict(vars(module))):
                runner.run(example)
    assert runner.tries > 0
    assert runner.failures == 0


# Both backends


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@every_native_op
def test_backends_agree_bit_for_bit_forward_and_backward(name, dtype, use_backend):
    infinite = awkward(dtype)
    finite = torch.where(infinite.isfinite(), infinite, 0.1)
    takes_largest = name == "maximum_int_fake_quantize"
    for x in (finite.clamp(-9, 9),) if takes_largest else (infinite, finite):
        for arguments in examples(x)[name]:
            found = []
            for backend in ("python", "native"):
                use_backend(backend)
                found.append(with_gradient(name, x, arguments))
            for of_python, of_native in zip(*found, strict=True):
                if takes_largest:  # a sum is part of the gradient
                    torch.testing.assert_close(of_native, of_python)
                else:
                    assert same_bits(of_native, of_python), arguments


@every_elementwise_op
def test_scalars_and_empty_tensors_pass(name, backend):
    for shape in ((), (0,), (3, 0, 2)):
        x = torch.zeros(shape)
        for arguments in examples(x)[name]:
            assert all(y.shape == shape for y in with_gradient(name, x, arguments)[::2])


@every_op
def test_strided_input_gives_what_contiguous_input_gives(name, backend):
    x = torch.randn(6, 8)[::2, 1::3].t()
    for arguments in examples(x)[name]:
        for found, expected in zip(
            results(name, x, arguments), results(name, x.contiguous(), arguments), strict=True
        ):
            assert torch.equal(found, expected)


def is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last)


@every_elementwise_op
def test_channels_last_is_kept_forward_and_backward(name, backend):
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    for arguments in examples(x)[name]:
        y, *others = with_gradient(name, x, arguments)
        assert is_channels_last(y)
        if not name.endswith("_fake_quantize"):
            assert all(g.dim() < 4 or is_channels_last(g) for g in others)


@every_op
def test_input_is_left_alone_and_no_graph_is_made_without_grad(name, backend):
    x = torch.randn(3, 40)
    before = x.clone()
    for arguments in examples(x)[name]:
        with torch.inference_mode():
            results(name, x, arguments)
        made = results(name, x, arguments)
        with_gradient(name, x, arguments)
        assert torch.equal(x, before)
        assert not any(y.requires_grad for y in made)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@every_elementwise_op
def test_dtype_is_kept_and_nan_stays_nan(name, dtype, backend):
    if name == "float_step":
        dtype = torch.float64 if dtype == torch.float64 else torch.float32
    x = torch.where(awkward(dtype).isinf(), 9.0, awkward(dtype))
    for arguments in examples(x)[name]:
        y, *others = with_gradient(name, x, arguments)
        assert all(item.dtype == dtype for item in (y, *others))
        assert torch.equal(y.isnan(), x.isnan()) or name == "float_step"


# The machinery of torch


SHALLOW = ("test_schema", "test_autograd_registration", "test_faketensor")
INPUTS = {  # what is checked of them; compiling takes most of the time
    "contiguous": (torch.randn(3, 4), (*SHALLOW, "test_aot_dispatch_dynamic")),
    "strided": (torch.randn(8, 3).t()[:, ::2].bfloat16(), SHALLOW),
    "channels_last": (torch.randn(2, 4, 3, 3).to(memory_format=torch.channels_last), SHALLOW),
}


@every_native_op
def test_opcheck_passes(name, use_backend):
    use_backend("native")
    op = getattr(torch.ops.qat, name).default
    for x, checks in INPUTS.values():
        for arguments in examples(x)[name]:
            leaf = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
            leaf = leaf * 1 if name.endswith("_") else leaf  # in place, but not on a leaf
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # opcheck looks at .grad of what is no leaf
                torch.library.opcheck(op, (leaf, *arguments), test_utils=checks)


@every_op
def test_meta_tensors_give_shapes(name, backend):
    x = torch.randn(5, 4, dtype=torch.float32 if name == "float_step" else torch.float16)
    for arguments in examples(x)[name]:
        meta = [a.to("meta") if isinstance(a, Tensor) else a for a in arguments]
        made = results(name, x, arguments)
        for shape, y in zip(results(name, x.to("meta"), meta), made, strict=True):
            assert shape.device.type == "meta"
            assert (shape.shape, shape.dtype) == (y.shape, y.dtype)


def every_op_at_once(x: Tensor) -> Tensor:
    """A sum over all ops, each with a weight of its own."""
    total, weight = torch.zeros_like(x), 1.0
    for name, calls in examples(x).items():
        for arguments in calls if name == "int_fake_quantize" else calls[-1:]:
            for y in results(name, x, arguments):
                total, weight = total + weight * y, weight + 0.25
    return total


def an_input() -> Tensor:
    halves = torch.tensor([-1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 0.125, -0.375])
    return torch.cat([halves, 2 * torch.randn(16)]).reshape(4, 6)


def assert_same_as_eager(function, eager, rtol=1e-6):
    x = an_input()
    found = []
    for each in (function, eager):
        leaf = x.clone().requires_grad_()
        y = each(leaf)
        found.append((y.detach(), *torch.autograd.grad(y.sum(), leaf)))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)


def test_compiles_as_one_graph_of_aten_ops_with_the_same_numbers(use_backend):
    from functorch.compile import make_boxed_func
    from torch._dynamo.backends.common import aot_autograd

    use_backend("native")  # asked for, and yet not what a compiler gets
    torch._dynamo.reset()
    targets = []

    def record(graph_module, _):
        nodes = graph_module.graph.nodes
        targets.extend(node.target for node in nodes if node.op == "call_function")
        return make_boxed_func(graph_module.forward)

    compiler = aot_autograd(fw_compiler=record)
    compiled = torch.compile(every_op_at_once, fullgraph=True, backend=compiler)
    assert_same_as_eager(compiled, every_op_at_once, rtol=1e-5)
    namespaces = {getattr(target, "namespace", "python") for target in targets}
    assert targets and namespaces <= {"aten", "prims", "python"}


LO, HI = torch.tensor(-1.0), torch.tensor(2.0)


def straight_through_ops(x: Tensor, lo: Tensor = LO, hi: Tensor = HI) -> Tensor:
    y = ops.round_ste(3 * x) + 2 * ops.ceil_ste(3 * x) + 3 * ops.floor_ste(3 * x)
    y = y + 5 * ops.round_to_zero_ste(3 * x) + 7 * ops.dpu_round_ste(3 * x)
    y = y * ops.binary_sign_ste(x) + ops.ternary_sign_ste(x) * ops.abs_binary_sign_grad(x)
    y = y + ops.scalar_clamp_ste(x, -1.0, 1.0) + ops.scalar_clamp_min_ste(x, lo=-1.0)
    y = y + ops.tensor_clamp_ste(x, lo, hi) * ops.floor_scale(ops.tensor_clamp(x, lo, hi))
    z = 2 * x
    return y * ops.tensor_clamp_ste_(z, ops.min_int(True, True, hi), ops.max_int(False, False, hi))


def fused_quantizers(x: Tensor) -> Tensor:
    scale, relu = ops.scale_from_threshold(ops.positive_ste(x[:, :1], 0.3), 8 * LO.abs()), RELU
    grid = ops.IntGrid(torch.ones_like(scale), 3 * torch.ones_like(LO), False, False)
    y = ops.int_fake_quantize(x, scale, grid, True, relu)
    y = y + 3 * ops.int_fake_quantize(x, scale, grid, clipped=False)
    y = y + 5 * ops.binary_fake_quantize(x, scale, True, ops.Bounds(None, 1.0))
    y = y + 7 * ops.threshold_int_fake_quantize(x, scale, 0.1, 8 * LO.abs(), grid, True)[0]
    return y * (1 + ops.ternary_fake_quantize(x, scale, 0.5))


RELU = ops.Bounds(0.0, 1.5)


class Network(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "strict"), [(every_op_at_once, False), (fused_quantizers, True)]
)
def test_exports_with_the_same_numbers(function, strict, use_backend):
    use_backend("native")
    x = an_input()
    exported = torch.export.export(Network(function), (x,), strict=strict)
    lowered = exported.run_decompositions()
    torch.testing.assert_close(lowered.module()(x), function(x), rtol=1e-6, atol=1e-6)
    assert "qat" not in str(lowered.graph)


@pytest.mark.parametrize("k", [1, 5, 400])
def test_scripted_statistics_are_those_of_eager(k, toolchain):
    def of_all(x: Tensor, k: int) -> Tensor:
        return ops.abs_kth_largest(x, k)

    ops.ensure_registered()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        whole, rows = torch.jit.script(of_all), torch.jit.script(ops.abs_kth_largest_of_rows)
    x = torch.randn(4, 500)
    assert torch.equal(whole(x, k), ops.abs_kth_largest(x, k))
    assert torch.equal(rows(x, k), ops.abs_kth_largest_of_rows(x, k))
    with pytest.raises(torch.jit.Error, match="k is 501 for 500 elements"):
        rows(x, 501)


def test_scripted_function_gives_the_same_numbers(toolchain):
    ops.ensure_registered()

    def scripted(x: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
        return straight_through_ops(x, lo, hi)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        compiled = torch.jit.script(scripted)
    for _ in range(3):  # TorchScript profiles, then fuses: a * b + c may be rounded once
        assert_same_as_eager(lambda x: compiled(x, LO, HI), straight_through_ops)


@pytest.mark.parametrize(
    "function",
    [straight_through_ops, pytest.param(fused_quantizers, marks=pytest.mark.slow)],
)
def test_inductor_gives_the_same_numbers(function, use_backend):
    use_backend("native")
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of inductor's own making
        # a * b + c may be rounded once
        assert_same_as_eager(torch.compile(function, fullgraph=True), function)


def test_inductor_hands_nan_through_and_gives_zero_the_sign_plus(toolchain):
    torch._dynamo.reset()

    def signs(x: Tensor) -> Tensor:
        return torch.stack([ops.binary_sign_ste(x), ops.ternary_sign_ste(x)])

    x = torch.tensor([-2.0, -1e-42, -0.0, 0.0, 1e-42, torch.inf, torch.nan])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = torch.compile(signs, fullgraph=True)(x)
    torch.testing.assert_close(found, signs(x), rtol=0, atol=0, equal_nan=True)
