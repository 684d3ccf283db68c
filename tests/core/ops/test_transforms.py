"""The ops under the machinery of torch: opcheck, TorchScript, torch.compile, torch.export."""

import warnings

import pytest
import torch
from torch import Tensor

from qat import ops
from qat.ops.native import register as registration

UNARY = [s.split("(")[0] for s in registration.SCHEMAS if s.endswith("(Tensor x) -> Tensor")]
ARGUMENTS = {
    **dict.fromkeys(UNARY, ()),
    "scalar_clamp_ste": (-1.0, 1.0),
    "scalar_clamp_min_ste": (-1.0,),
    "tensor_clamp": (torch.tensor(-1.0), torch.tensor(1.0)),
    "tensor_clamp_ste": (torch.tensor(-1.0), torch.tensor(1.0)),
    "tensor_clamp_ste_": (torch.tensor(-1.0), torch.tensor(1.0)),
}
every_op = pytest.mark.parametrize("name", ARGUMENTS)


def every_op_at_once(x: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    y = ops.round_ste(3 * x) + 2 * ops.ceil_ste(3 * x) + 3 * ops.floor_ste(3 * x)
    y = y + 5 * ops.round_to_zero_ste(3 * x) + 7 * ops.dpu_round_ste(3 * x)
    y = y * ops.binary_sign_ste(x) + ops.ternary_sign_ste(x) * ops.abs_binary_sign_grad(x)
    y = y + ops.scalar_clamp_ste(x, -1.0, 1.0) + ops.scalar_clamp_min_ste(x, -1.0)
    y = y + ops.tensor_clamp_ste(x, lo, hi) * ops.floor_scale(ops.tensor_clamp(x, lo, hi))
    z = 2 * x
    return y * ops.tensor_clamp_ste_(z, ops.min_int(True, True, hi), ops.max_int(False, False, hi))


class EveryOp(torch.nn.Module):
    def forward(self, x: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
        return every_op_at_once(x, lo, hi)


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    x = torch.cat([torch.tensor([-1.5, -0.5, -0.0, 0.0, 0.5, 1.5]), 2 * torch.randn(10)])
    return x, torch.tensor(-1.0), torch.tensor(2.0)


def forward_and_gradient(function, x, lo, hi):
    leaf = x.clone().requires_grad_()
    y = function(leaf, lo, hi)
    y.sum().backward()
    return y.detach(), leaf.grad


def assert_same_as_eager(function, rtol=0.0):
    arguments = inputs()
    for found, expected in zip(
        forward_and_gradient(function, *arguments),
        forward_and_gradient(every_op_at_once, *arguments),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=rtol, atol=0)


@every_op
def test_python_schema_is_that_of_the_native_op(name, use_backend):
    use_backend("native")
    (schema,) = [s for s in registration.SCHEMAS if s.startswith(f"{name}(")]
    assert str(getattr(torch.ops.qat, name).default._schema) == f"qat::{schema}"


@pytest.mark.parametrize("requires_grad", [False, True], ids=["constant", "requires_grad"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@every_op
def test_opcheck_passes(name, dtype, requires_grad, use_backend):
    use_backend("native")
    op = getattr(torch.ops.qat, name).default
    for shape in [(3, 4), (0,)]:
        x = torch.randn(shape).to(dtype).requires_grad_(requires_grad)
        if name.endswith("_") and requires_grad:
            x = x * 1  # in place, but not on a leaf
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # opcheck looks at .grad of what is no leaf
            torch.library.opcheck(op, (x, *ARGUMENTS[name]))


@every_op
def test_native_op_runs_on_meta_tensors(name, use_backend):
    use_backend("native")
    x = torch.empty(2, 3, device="meta", dtype=torch.float16)
    bounds = [b.to("meta") if isinstance(b, Tensor) else b for b in ARGUMENTS[name]]
    y = getattr(torch.ops.qat, name)(x, *bounds)
    assert (y.device.type, y.dtype, y.shape) == ("meta", torch.float16, (2, 3))


@pytest.mark.parametrize("compiler", ["eager", "aot_eager"])
def test_compiles_as_one_graph_with_the_same_numbers(compiler, backend):
    torch._dynamo.reset()
    assert_same_as_eager(torch.compile(every_op_at_once, fullgraph=True, backend=compiler))


def test_inductor_gives_the_same_numbers(toolchain, backend):
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of inductor's own making
        compiled = torch.compile(every_op_at_once, fullgraph=True)
        # a * b + c may be rounded once
        assert_same_as_eager(compiled, rtol=1e-6)


def test_inductor_hands_nan_through_and_gives_zero_the_sign_plus(toolchain):
    torch._dynamo.reset()

    def signs(x: Tensor) -> Tensor:
        return torch.stack([ops.binary_sign_ste(x), ops.ternary_sign_ste(x)])

    x = torch.tensor([-2.0, -1e-42, -0.0, 0.0, 1e-42, torch.inf, torch.nan])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = torch.compile(signs, fullgraph=True)(x)
    torch.testing.assert_close(found, signs(x), rtol=0, atol=0, equal_nan=True)


def test_aot_graph_holds_aten_ops_only_so_that_they_can_be_fused(backend):
    torch._dynamo.reset()
    targets = []

    def record(graph_module, _):
        targets.extend(
            node.target for node in graph_module.graph.nodes if node.op == "call_function"
        )
        return make_boxed_func(graph_module.forward)

    from functorch.compile import make_boxed_func
    from torch._dynamo.backends.common import aot_autograd

    compiled = torch.compile(
        every_op_at_once, fullgraph=True, backend=aot_autograd(fw_compiler=record)
    )
    forward_and_gradient(compiled, *inputs())
    namespaces = {getattr(target, "namespace", "python") for target in targets}
    assert targets and namespaces <= {"aten", "prims", "python"}


@pytest.mark.parametrize("strict", [False, True], ids=["non_strict", "strict"])
def test_exports_with_the_same_numbers(strict, backend):
    arguments = inputs()
    exported = torch.export.export(EveryOp(), arguments, strict=strict)
    expected = every_op_at_once(*arguments)
    assert torch.equal(exported.module()(*arguments), expected)
    lowered = exported.run_decompositions()
    assert torch.equal(lowered.module()(*arguments), expected)
    assert "qat" not in str(lowered.graph)


def test_scripted_function_gives_the_same_numbers(toolchain):
    ops.ensure_registered()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        scripted = torch.jit.script(every_op_at_once)
    for _ in range(3):  # TorchScript profiles, then fuses: a * b + c may be rounded once
        assert_same_as_eager(scripted, rtol=1e-6)
