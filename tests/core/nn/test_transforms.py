"""Every layer compiled, exported, copied, stored, moved, on odd batches.

All layers pass each test in eager Python. Where scripted and C++ quantizers could differ, or where
a test takes long, one layer of each base class passes it; all of them compile in a slow test.
"""

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

import qat.nn as qnn
from qat import QuantTensor
from qat.quantizers import (
    ClampTo8bit,
    Int8ActPerTensorFloat,
    Int8ActPerTensorFloatMinMaxInit,
    Int8WeightPerChannelFloat,
    Int32Bias,
    ShiftRoundSaturateTo8bit,
    TruncTo8bit,
)

MIN_MAX = Int8ActPerTensorFloatMinMaxInit
FLOW = {"return_quant_tensor": True}
RANGE = {"min_val": -2.0, "max_val": 2.0}
WEIGHT = {
    "weight_quant": Int8WeightPerChannelFloat,
    "weight_scaling_impl_type": "parameter_from_stats",
    **FLOW,
}
INPUT = {
    "input_quant": MIN_MAX,
    **{f"input_{name}": bound for name, bound in RANGE.items()},
}
ALL = {**WEIGHT, **INPUT, "bias_quant": Int32Bias}
OUTPUT = {
    "output_quant": MIN_MAX,
    **{f"output_{name}": bound for name, bound in RANGE.items()},
    **FLOW,
}
FIRST = {"collect_stats_steps": 1, **FLOW}
BOTH = {"input_collect_stats_steps": 2, "output_collect_stats_steps": 1, **FLOW}
TIED = {"tie_input_output_quant": True, "input_collect_stats_steps": 3, **FLOW}
RNN = {"io_collect_stats_steps": 3, "gate_acc_collect_stats_steps": 2, **FLOW}
LSTM = {
    **FLOW,
    **{
        f"{role}_{name}": item
        for role in ("io", "gate_acc", "sigmoid", "tanh", "cell_state")
        for name, item in (("scaling_impl_type", "parameter"), ("scaling_const", 1.0))
    },
}
DOT_PRODUCT: dict[str, Any] = {
    f"{role}_collect_stats_steps": 1
    for role in ("q_scaled", "k_transposed", "softmax_input", "attn_output_weights", "v")
}
DOT_PRODUCT["softmax_input_quant"] = Int8ActPerTensorFloat
MULTIHEAD = {
    f"{role}_collect_stats_steps": 1
    for role in (
        *("in_proj_input", "out_proj_input", "q_scaled", "k_transposed", "v"),
        "attn_output_weights",
    )
}


@dataclass(frozen=True)
class Case:
    """A layer, what it is called with, and where the samples of a batch are.

    Args:
        make: builds the layer.
        inputs: arguments of the layer for a batch of so many samples.
        batch_dim: of the arguments and of the first result.
    """

    make: Callable[[], nn.Module]
    inputs: Callable[[int], tuple[Any, ...]]
    batch_dim: int = 0


def random(*shape: int) -> Callable[[int], tuple[Any, ...]]:
    return lambda count: (torch.randn(count, *shape),)


def indices(count: int) -> tuple[Any, ...]:
    return (torch.randint(0, 9, (count, 2)),)


def in_time(count: int) -> tuple[Any, ...]:
    return (torch.randn(2, count, 3),)


def attended(count: int) -> tuple[Any, ...]:
    return tuple(torch.randn(count, 2, 3, 4) for _ in "qkv")


def attending_to_itself(count: int) -> tuple[Any, ...]:
    return (torch.randn(4, count, 8),) * 3


def attending_to_another(count: int) -> tuple[Any, ...]:
    return (torch.randn(4, count, 8), *((torch.randn(5, count, 8),) * 2))


class Behind(nn.Module):
    """A layer behind a quantizer; one that takes two operands gets its input and that reversed."""

    def __init__(self, layer: nn.Module, operands: str):
        super().__init__()
        self.first = qnn.QuantIdentity(MIN_MAX, bit_width=10, **RANGE, **FLOW)
        self.layer, self.operands = layer, operands

    def forward(self, x):
        x = self.first(x)
        if self.operands == "list":
            return self.layer([x, x.flip(3)])
        return self.layer(x, x.flip(3)) if self.operands == "two" else self.layer(x)


class Masked(nn.Module):
    """Attention in which a query looks at no later key."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer
        self.register_buffer("mask", torch.ones(3, 3, dtype=torch.bool).tril(), persistent=False)

    def forward(self, query, key, value):
        return self.layer(query, key, value, attn_mask=self.mask)


def behind(make: Callable[[], nn.Module], operands: str = "one") -> Case:
    return Case(lambda: Behind(make(), operands), random(2, 4, 4))


WEIGHTS = {
    "linear": Case(lambda: qnn.QuantLinear(4, 3, **ALL), random(4)),
    "conv1d": Case(lambda: qnn.QuantConv1d(4, 6, 3, groups=2, **ALL), random(4, 5)),
    "conv2d": Case(lambda: qnn.QuantConv2d(4, 6, 3, padding=1, **ALL), random(4, 5, 5)),
    "conv3d": Case(lambda: qnn.QuantConv3d(4, 6, 2, bias=False, **ALL), random(4, 3, 3, 3)),
    "transpose1d": Case(lambda: qnn.QuantConvTranspose1d(4, 6, 3, groups=2, **ALL), random(4, 5)),
    "transpose2d": Case(
        lambda: qnn.QuantConvTranspose2d(4, 6, 3, stride=2, **ALL), random(4, 3, 3)
    ),
    "transpose3d": Case(lambda: qnn.QuantConvTranspose3d(4, 6, 2, **ALL), random(4, 2, 2, 2)),
    "scale_bias": Case(lambda: qnn.QuantScaleBias(4, True, **ALL), random(4, 3, 3)),
    "batch_norm1d": Case(lambda: qnn.BatchNorm1dToQuantScaleBias(4, **ALL), random(4)),
    "batch_norm2d": Case(lambda: qnn.BatchNorm2dToQuantScaleBias(4, **ALL), random(4, 3, 3)),
    "embedding": Case(lambda: qnn.QuantEmbedding(9, 4, padding_idx=0, **WEIGHT), indices),
}
OTHERS = {
    "max_pool": behind(lambda: qnn.QuantMaxPool2d(3, 2, 1, **FLOW)),
    "adaptive_max_pool": behind(lambda: qnn.QuantAdaptiveMaxPool2d(3, **FLOW)),
    "avg_pool": behind(lambda: qnn.QuantAvgPool2d(2, **OUTPUT)),
    "adaptive_avg_pool": behind(lambda: qnn.QuantAdaptiveAvgPool2d(2, **FLOW)),
    "trunc_pool": behind(lambda: qnn.TruncAvgPool2d(2, **FLOW)),
    "trunc_adaptive_pool": behind(
        lambda: qnn.TruncAdaptiveAvgPool2d(1, trunc_quant=ShiftRoundSaturateTo8bit, **FIRST)
    ),
    "truncate": behind(lambda: qnn.TruncQuantAccumulator(TruncTo8bit, **FLOW)),
    "clamp": behind(lambda: qnn.ClampQuantAccumulator(ClampTo8bit, **FLOW)),
    "add": behind(lambda: qnn.QuantEltwiseAdd(**BOTH), "two"),
    "cat": behind(lambda: qnn.QuantCat(**BOTH), "list"),
    "tied_cat": behind(lambda: qnn.QuantCat(**TIED), "list"),
    "upsample": behind(lambda: qnn.QuantUpsample(scale_factor=2, mode="bicubic", **FLOW)),
    "upsample_nearest": behind(lambda: qnn.QuantUpsamplingNearest2d(scale_factor=2, **FLOW)),
    "upsample_bilinear": behind(lambda: qnn.QuantUpsamplingBilinear2d(size=7, **OUTPUT)),
    "relu6": behind(lambda: qnn.QuantReLU6(**FIRST)),
    "leaky_relu": behind(lambda: qnn.QuantLeakyReLU(negative_slope=0.2, **FIRST)),
    "silu": behind(lambda: qnn.QuantSiLU(**FIRST)),
    "gelu": behind(lambda: qnn.QuantGELU(approximate="tanh", **FIRST)),
    "hard_swish": behind(lambda: qnn.QuantHardSwish(**FIRST)),
    "hard_sigmoid": behind(lambda: qnn.QuantHardSigmoid(**FIRST)),
}
COMPOSED = {
    "rnn": Case(lambda: qnn.QuantRNN(3, 4, **RNN), in_time, batch_dim=1),
    "rnn_both_ways": Case(
        lambda: qnn.QuantRNN(3, 4, 2, bidirectional=True, **RNN), in_time, batch_dim=1
    ),
    "lstm": Case(
        lambda: qnn.QuantLSTM(3, 4, coupled_input_forget_gates=True, **LSTM), in_time, batch_dim=1
    ),
    "dot_product": Case(
        lambda: Masked(qnn.QuantScaledDotProductAttention(**DOT_PRODUCT)), attended
    ),
    "multihead": Case(
        lambda: qnn.QuantMultiheadAttention(8, 2, add_bias_kv=True, **MULTIHEAD, **FLOW),
        attending_to_itself,
        batch_dim=1,
    ),
    "cross_attention": Case(
        lambda: qnn.QuantMultiheadAttention(8, 2, **MULTIHEAD, **FLOW),
        attending_to_another,
        batch_dim=1,
    ),
}
CASES = {**WEIGHTS, **OTHERS, **COMPOSED}
#: One of each base class; attention has its formula tested on every backend.
EACH_BASE = ("conv2d", "embedding", "avg_pool", "clamp", "add", "relu6", "rnn")
ON_BACKENDS = pytest.mark.parametrize(
    ("name", "backend"),
    [
        *((name, "python") for name in CASES),
        *((name, backend) for backend in ("native", "jit") for name in EACH_BASE),
    ],
    indirect=["backend"],
)
#: For graphs, which take long.
SOME = ("conv2d", "transpose1d", "embedding", "trunc_pool", "tied_cat", "upsample", "hard_swish")
SOME += ("rnn",)
EVERY_LAYER = pytest.mark.parametrize("name", CASES)


def made(name):
    """The layer after its statistics, where it collects any."""
    layer = CASES[name].make()
    if isinstance(layer, qnn.QuantScaleBias):
        nn.init.normal_(layer.weight)
        layer.weight_quant.init_tensor_quant()
    for _ in range(3):
        layer(*CASES[name].inputs(3))
    return layer


def moved(inputs, dtype=None, device=None):
    done = {
        id(x): x.to(dtype=dtype if x.is_floating_point() else None, device=device) for x in inputs
    }
    return tuple(done[id(x)] for x in inputs)  # what is one tensor stays one


def batch(name, count=3, dtype=None):
    return moved(CASES[name].inputs(count), dtype)


def tensors(out):
    """All tensors of a result: values, and scales of what is quantized."""
    if isinstance(out, QuantTensor):
        return [out.value, out.scale]
    if isinstance(out, tuple):
        return [each for item in out for each in tensors(item)]
    return [out]


def first(out):
    return out[0] if isinstance(out, tuple) else out


def value(out):
    return tensors(out)[0]


def assert_same(out, expected, **tolerance):
    for ours, theirs in zip(tensors(out), tensors(expected), strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance)


EXACTLY = {"rtol": 0.0, "atol": 0.0}


class Together(nn.Module):
    """Layers side by side, so that one graph is made of them."""

    def __init__(self, names):
        super().__init__()
        self.layers = nn.ModuleDict({name: made(name) for name in names})

    def forward(self, inputs):
        return {name: layer(*inputs[name]) for name, layer in self.layers.items()}


@pytest.mark.parametrize(
    "names", [SOME, pytest.param(tuple(CASES), marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_compiled_training_is_eager_training(names, compiler):
    eager = Together(names)
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    inputs = {name: batch(name) for name in names}

    expected, out = eager(inputs), compiled(inputs)
    for results in (expected, out):
        sum(value(each).square().sum() for each in results.values()).backward()

    for name in names:
        assert_same(out[name], expected[name])
    for (name, a), b in zip(eager.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, msg=lambda m, n=name: f"{n}: {m}")
    torch.testing.assert_close(twin.state_dict(), eager.state_dict())


@pytest.mark.parametrize(
    "names",
    [(*SOME, "multihead"), pytest.param(tuple(CASES), marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def test_exported_evaluation_is_eager_evaluation(names, compiler):
    model = Together(names).eval()
    inputs = {name: batch(name) for name in names}

    exported = torch.export.export(model, (inputs,))
    out, expected = exported.module()(inputs), model(inputs)

    for name, each in out.items():
        assert_same(each, expected[name], **EXACTLY)
        grid = first(each)
        assert name == "dot_product" or (isinstance(grid, QuantTensor) and grid.is_valid), name
    assert exported.state_dict.keys() == model.state_dict().keys()


def through_pickle(layer):
    return pickle.loads(pickle.dumps(layer))


@ON_BACKENDS
@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_a_copy_computes_the_same_and_lives_its_own_life(name, copied, backend):
    layer = made(name).eval()
    twin, x = copied(layer), batch(name)
    before = layer(*x)
    assert_same(twin(*x), before, **EXACTLY)

    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(2.0)

    assert_same(layer(*x), before, **EXACTLY)
    has_parameters = any(True for _ in layer.parameters())
    assert torch.equal(value(twin(*x)), value(before)) is not has_parameters


@ON_BACKENDS
def test_a_state_dict_makes_another_layer_the_same(name, backend):
    layer, again = made(name), made(name)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(1.25)

    again.load_state_dict(layer.state_dict(), strict=True)

    x = batch(name)
    assert_same(again.eval()(*x), layer.eval()(*x), **EXACTLY)
    torch.testing.assert_close(again.state_dict(), layer.state_dict(), **EXACTLY)


@EVERY_LAYER
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_layer_trains_in_other_types(name, dtype, without_jit):
    trains_in(name, dtype)


@pytest.mark.parametrize("name", EACH_BASE)
@pytest.mark.parametrize("backend", ["native", "jit"], indirect=True)
def test_a_layer_trains_in_half_precision_on_every_backend(name, backend):
    trains_in(name, torch.bfloat16)


def trains_in(name, dtype):
    layer = made(name).to(dtype)
    out = first(layer(*batch(name, dtype=dtype)))
    assert all(x.dtype == dtype and torch.isfinite(x).all() for x in tensors(out))
    value(out).sum().backward()
    gradients = [p.grad for p in layer.parameters() if p.grad is not None]
    assert all(each.dtype == dtype for each in gradients)
    for key, tensor in layer.state_dict().items():
        assert tensor.dtype == dtype or key.endswith("counter"), key


@pytest.mark.parametrize("name", ["linear", "rnn", "multihead"])
def test_a_layer_is_made_in_another_type(name, without_jit):
    makes = {
        "linear": lambda **k: qnn.QuantLinear(4, 3, **ALL, **k),
        "rnn": lambda **k: qnn.QuantRNN(3, 4, **RNN, **k),
        "multihead": lambda **k: qnn.QuantMultiheadAttention(8, 2, **MULTIHEAD, **k),
    }
    layer = makes[name](dtype=torch.float64)
    assert value(layer(*batch(name, dtype=torch.float64))).dtype == torch.float64
    for key, tensor in layer.state_dict().items():
        assert tensor.dtype == torch.float64 or key.endswith("counter"), key


@EVERY_LAYER
@pytest.mark.parametrize("training", [True, False])
def test_a_small_batch_is_a_part_of_a_larger_one(name, training, without_jit):
    small_batches(name, training)


@pytest.mark.parametrize("name", EACH_BASE)
@pytest.mark.parametrize("backend", ["native", "jit"], indirect=True)
def test_a_small_batch_is_a_part_of_a_larger_one_on_every_backend(name, backend):
    small_batches(name, training=True)


def small_batches(name, training):
    layer, dim = made(name).train(training), CASES[name].batch_dim
    x = batch(name)
    whole = first(layer(*x))
    for count in (0, 1):
        parts = {id(each): each.narrow(dim, 0, count) for each in x}
        out = first(layer(*(parts[id(each)] for each in x)))
        torch.testing.assert_close(value(out), value(whole).narrow(dim, 0, count))
        if isinstance(out, QuantTensor):
            assert out.is_valid and torch.equal(out.int(), whole.int().narrow(dim, 0, count))
            assert out.training is whole.training is training
        if out.requires_grad:
            value(out).sum().backward()


@pytest.mark.parametrize("name", [n for n in CASES if CASES[n].inputs(1)[0].dim() in (4, 5)])
def test_channels_last_gives_the_same_values(name):
    layer, x = made(name).eval(), batch(name)
    last = torch.channels_last if x[0].dim() == 4 else torch.channels_last_3d
    expected = first(layer(*x))
    out = first(layer.to(memory_format=last)(*(each.to(memory_format=last) for each in x)))
    torch.testing.assert_close(value(out), value(expected))
    if isinstance(out, QuantTensor):
        assert torch.equal(out.int(), expected.int())
    if name in OTHERS:
        assert value(out).is_contiguous(memory_format=last)


@EVERY_LAYER
def test_values_of_training_and_evaluation_are_the_same(name):
    layer, x = made(name), batch(name)
    in_training = value(layer.train()(*x))
    torch.testing.assert_close(value(layer.eval()(*x)), in_training)


@EVERY_LAYER
def test_a_layer_on_a_device_gives_what_it_gives_on_the_cpu(name, device):
    layer, x = made(name), batch(name)
    expected = value(layer(*x))
    there = copy.deepcopy(layer).to(device)
    out = value(there(*moved(x, device=device)))
    if out.requires_grad:
        out.sum().backward()
    assert out.device.type == device.type
    assert all(p.grad is None or p.grad.device.type == device.type for p in there.parameters())
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-3, atol=1e-3)
