"""Quantized tensors go into, through and out of compiled and exported graphs."""

from __future__ import annotations

import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from qat.tensor import QuantTensor


def construct(x):
    scale = x.value.abs().amax() / 127
    return QuantTensor((x.value / scale).round() * scale, scale, 0.0, 8.0, True, False)


def residual_block(x):
    shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
    out = F.max_pool2d(F.relu(torch.cat([x, x], 1)), 2)
    return out, shortcut, (out + out).flatten(1)


def arithmetic(x):
    return x + x, x - x, x * x, -x, abs(x), sum([x, x]), x * 0.5


def pooling(x):
    return F.avg_pool2d(x, x.size()[3]), F.interpolate(x, scale_factor=2), F.pixel_shuffle(x, 2)


def plain(x):
    return x.sin(), x + torch.ones(4, 4), torch.ones(4, 4) - x, x > 0, x.mean(dim=(2, 3))


def moves(x):
    return x.permute(0, 2, 3, 1).reshape(2, -1), x[:, 1:], x.chunk(2, 1), x.half(), x[0, 0].T


def integers(x):
    return x.int().to(torch.int32)


def assert_same(a, b):
    (leaves_a, spec_a), (leaves_b, spec_b) = tree_flatten(a), tree_flatten(b)
    assert spec_a == spec_b
    for leaf_a, leaf_b in zip(leaves_a, leaves_b, strict=True):
        torch.testing.assert_close(leaf_a, leaf_b)


def as_module(function):
    class Model(nn.Module):
        def forward(self, x):
            return function(x)

    return Model()


def example(kind):
    q = torch.arange(128.0).reshape(2, 4, 4, 4) - 64
    if kind == "tensor":
        return QuantTensor(q * 0.5, 0.5, 0.0, 8.0, True, True)
    scale = torch.tensor([0.1, 0.2, 0.4, 0.8]).reshape(1, 4, 1, 1)
    return QuantTensor(q * scale, scale, torch.zeros(()), 8.0, True, True)


def everything(x):
    return [function(x) for function in (construct, arithmetic, pooling, plain, integers)]


# Whether dynamo follows the class shows without lowering; lowering sees plain tensors, whoever
# made them.
CASES = [(everything, "tensor", "eager"), (moves, "channels", "eager")]
CASES += [(residual_block, "channels", "aot_eager")]


@pytest.mark.parametrize("function, kind, graph_backend", CASES)
def test_compiling_one_graph_changes_nothing(function, kind, graph_backend):
    torch._dynamo.reset()
    x = example(kind)

    compiled = torch.compile(function, fullgraph=True, backend=graph_backend)

    assert_same(compiled(x), function(x))


@pytest.mark.parametrize(
    "kind, strict", [("tensor", True), ("channels", False)], ids=["strict", "non_strict"]
)
def test_exporting_changes_nothing(kind, strict):
    x = example(kind)

    program = torch.export.export(as_module(residual_block), (x,), strict=strict)

    assert_same(program.module()(x), residual_block(x))


def test_an_exported_program_can_be_saved_and_loaded():
    x = example("tensor")
    program = torch.export.export(as_module(residual_block), (x,))
    file = io.BytesIO()

    torch.export.save(program, file)
    file.seek(0)

    assert_same(torch.export.load(file).module()(x), residual_block(x))


def test_a_graph_of_any_batch_size_keeps_the_grid():
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda x: F.relu(x).flatten(1), fullgraph=True, dynamic=True, backend="aot_eager"
    )

    for batch in (2, 3, 5):
        x = QuantTensor(torch.ones(batch, 2, 3), 0.5, 0.0, 8.0, True)
        assert compiled(x).int().shape == (batch, 6)


def test_a_compiled_graph_gives_the_gradients_of_eager_code():
    torch._dynamo.reset()

    def loss(value, scale):
        x = QuantTensor(value, scale, 0.0, 8.0, True)
        y = F.relu(x) + F.relu(x)
        return y.value.sum() + (x * x).scale

    gradients = []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        value = torch.tensor([-1.0, 2.0], requires_grad=True)
        scale = torch.tensor(0.5, requires_grad=True)
        function(value, scale).backward()
        gradients.append((value.grad.tolist(), float(scale.grad)))

    assert gradients[0] == gradients[1] == ([0.0, 2.0], 1.0)


def test_scales_in_different_objects_are_not_known_to_be_equal_in_a_graph():
    torch._dynamo.reset()

    def add(a, b):
        return a + b

    a, b = example("tensor"), example("tensor")

    total = torch.compile(add, fullgraph=True, backend="aot_eager")(a, b)

    assert isinstance(add(a, b), QuantTensor)
    assert type(total) is torch.Tensor
    assert torch.equal(total, add(a, b).value)


def test_a_tree_of_quantized_tensors_is_put_together_again():
    x = example("tensor")
    leaves, spec = tree_flatten({"a": [x]})

    assert leaves[0] is x.value
    assert repr(tree_unflatten(leaves, spec)["a"][0]) == repr(x)


def test_a_tree_may_hold_other_things_than_tensors():
    _, spec = tree_flatten(example("tensor"))

    names = tree_unflatten(["v", "s", "z", "b"], spec)

    assert (names.value, names.scale, names.signed) == ("v", "s", True)


def test_a_quantized_tensor_on_disk_is_read_without_running_code():
    x, file = example("tensor"), io.BytesIO()
    torch.save({"x": x}, file)
    file.seek(0)

    assert_same(torch.load(file, weights_only=True)["x"], x)
