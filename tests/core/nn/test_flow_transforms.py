"""Each layer without a weight: compiled, exported, copied, stored, in other types, odd batches."""

import copy
import pickle

import pytest
import torch
from torch import nn

from qat import QuantTensor
from qat.nn import (
    ClampQuantAccumulator,
    QuantAdaptiveAvgPool2d,
    QuantAdaptiveMaxPool2d,
    QuantAvgPool2d,
    QuantCat,
    QuantEltwiseAdd,
    QuantGELU,
    QuantHardSigmoid,
    QuantHardSwish,
    QuantIdentity,
    QuantLeakyReLU,
    QuantMaxPool2d,
    QuantReLU6,
    QuantSiLU,
    QuantUpsample,
    QuantUpsamplingBilinear2d,
    QuantUpsamplingNearest2d,
    TruncAdaptiveAvgPool2d,
    TruncAvgPool2d,
    TruncQuantAccumulator,
)
from qat.quantizers import (
    ClampTo8bit,
    Int8ActPerTensorFloatMinMaxInit,
    ShiftRoundSaturateTo8bit,
    TruncTo8bit,
)

RANGE = {"min_val": -2.0, "max_val": 2.0}
OUTPUT = {
    "output_quant": Int8ActPerTensorFloatMinMaxInit,
    "output_min_val": -2.0,
    "output_max_val": 2.0,
}
FIRST = {"collect_stats_steps": 1}
BOTH = {"input_collect_stats_steps": 2, "output_collect_stats_steps": 1}

TIED = {"tie_input_output_quant": True, "input_collect_stats_steps": 3}


class Behind(nn.Module):
    """A layer behind a quantizer; one that takes two operands gets its input and that reversed."""

    def __init__(self, layer, operands):
        super().__init__()
        self.first = QuantIdentity(
            Int8ActPerTensorFloatMinMaxInit, bit_width=10, return_quant_tensor=True, **RANGE
        )
        self.layer, self.operands = layer, operands

    def forward(self, x):
        x = self.first(x)
        if self.operands == "list":
            return self.layer([x, x.flip(3)])
        return self.layer(x, x.flip(3)) if self.operands == "two" else self.layer(x)


# name: how to make the layer, how it takes its operands
LAYERS = {
    "max_pool": (lambda **k: QuantMaxPool2d(3, 2, 1, **k), "one"),
    "adaptive_max_pool": (lambda **k: QuantAdaptiveMaxPool2d(3, **k), "one"),
    "avg_pool": (lambda **k: QuantAvgPool2d(2, **OUTPUT, **k), "one"),
    "adaptive_avg_pool": (lambda **k: QuantAdaptiveAvgPool2d(2, **k), "one"),
    "trunc_pool": (lambda **k: TruncAvgPool2d(2, **k), "one"),
    "trunc_adaptive_pool": (
        lambda **k: TruncAdaptiveAvgPool2d(1, trunc_quant=ShiftRoundSaturateTo8bit, **FIRST, **k),
        "one",
    ),
    "truncate": (lambda **k: TruncQuantAccumulator(TruncTo8bit, **k), "one"),
    "clamp": (lambda **k: ClampQuantAccumulator(ClampTo8bit, **k), "one"),
    "add": (lambda **k: QuantEltwiseAdd(**BOTH, **k), "two"),
    "cat": (lambda **k: QuantCat(**BOTH, **k), "list"),
    "tied_cat": (lambda **k: QuantCat(**TIED, **k), "list"),
    "upsample": (lambda **k: QuantUpsample(scale_factor=2, mode="bicubic", **k), "one"),
    "upsample_nearest": (lambda **k: QuantUpsamplingNearest2d(scale_factor=2, **k), "one"),
    "upsample_bilinear": (lambda **k: QuantUpsamplingBilinear2d(size=7, **OUTPUT, **k), "one"),
    "relu6": (lambda **k: QuantReLU6(**FIRST, **k), "one"),
    "leaky_relu": (lambda **k: QuantLeakyReLU(negative_slope=0.2, **FIRST, **k), "one"),
    "silu": (lambda **k: QuantSiLU(**FIRST, **k), "one"),
    "gelu": (lambda **k: QuantGELU(approximate="tanh", **FIRST, **k), "one"),
    "hard_swish": (lambda **k: QuantHardSwish(**FIRST, **k), "one"),
    "hard_sigmoid": (lambda **k: QuantHardSigmoid(**FIRST, **k), "one"),
}
#: One of each kind, for what takes long.
DIFFERENT = ("trunc_pool", "clamp", "tied_cat", "upsample", "hard_swish")


@pytest.fixture(params=[False, True], ids=["plain", "quant_tensor"])
def flow(request):
    return {"return_quant_tensor": request.param}


@pytest.fixture(params=LAYERS)
def name(request):
    return request.param


def made(name, **keywords):
    """The model after its statistics phase."""
    make, operands = LAYERS[name]
    model = Behind(make(**keywords), operands)
    model(batch())
    return model


def batch(count=3, **keywords):
    return torch.randn(count, 2, 4, 4, **keywords)


def value_of(out):
    return out.value if isinstance(out, QuantTensor) else out


class Together(nn.Module):
    """Models side by side, so that one graph is made of them."""

    def __init__(self, names=tuple(LAYERS), **keywords):
        super().__init__()
        self.models = nn.ModuleDict({name: made(name, **keywords) for name in names})

    def forward(self, x):
        return {name: model(x) for name, model in self.models.items()}


def gradients(model, out, x):
    total = sum(value_of(each).square().sum() for each in out.values())
    found = torch.autograd.grad(total, [x, *model.parameters()], allow_unused=True)
    return [each for each in found if each is not None]


@pytest.mark.parametrize(
    "names", [DIFFERENT, pytest.param(tuple(LAYERS), marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_compiled_training_is_eager_training(names, without_jit):
    torch._dynamo.reset()
    eager = Together(names, return_quant_tensor=True)
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    x = batch().requires_grad_()
    expected, out = eager(x), compiled(x)
    for name, each in out.items():
        torch.testing.assert_close(value_of(each), value_of(expected[name]), msg=name)
        torch.testing.assert_close(each.scale, expected[name].scale, msg=name)
        assert each.is_valid, name
    torch.testing.assert_close(gradients(twin, out, x), gradients(eager, expected, x))


def test_exported_evaluation_is_eager_evaluation(flow, without_jit):
    model = Together(**flow).eval()
    x = batch()
    out, expected = torch.export.export(model, (x,)).module()(x), model(x)
    for name, each in out.items():
        assert isinstance(each, QuantTensor) is flow["return_quant_tensor"]
        assert torch.equal(value_of(each), value_of(expected[name])), name


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["deep", "pickle"],
)
def test_a_copy_computes_the_same(name, copied):
    model = made(name, return_quant_tensor=True).eval()
    x = batch()
    out, expected = copied(model)(x), model(x)
    assert torch.equal(out.value, expected.value) and torch.equal(out.scale, expected.scale)


def test_a_state_dict_makes_another_layer_the_same(name, backend):
    model, again = made(name), made(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.25)
    again.load_state_dict(model.state_dict(), strict=True)
    x = batch()
    assert torch.equal(value_of(again.eval()(x)), value_of(model.eval()(x)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_layer_trains_in_other_types(name, dtype):
    model = made(name, return_quant_tensor=True).to(dtype)
    x = batch(dtype=dtype).requires_grad_()
    out = model(x)
    assert out.dtype == out.scale.dtype == dtype and torch.isfinite(out.value).all()
    out.value.sum().backward()
    assert x.grad.dtype == dtype and torch.isfinite(x.grad).all()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [0, 1])
def test_a_small_batch_is_a_part_of_a_larger_one(name, count, training):
    model = made(name, return_quant_tensor=True).train(training)
    x = batch()
    out, whole = model(x[:count]), model(x)
    torch.testing.assert_close(out.value, whole.value[:count])
    assert out.is_valid and torch.equal(out.int(), whole.int()[:count])


def test_channels_last_gives_the_same_values(name):
    model = made(name).eval()
    x = batch()
    expected = model(x)
    out = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(value_of(out), value_of(expected))
    assert value_of(out).is_contiguous(memory_format=torch.channels_last)


def test_a_layer_on_a_device_gives_what_it_gives_on_the_cpu(name, device):
    model = made(name).eval()
    x = batch()
    expected = value_of(model(x))
    out = value_of(copy.deepcopy(model).to(device)(x.to(device)))
    assert out.device.type == device.type
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-3, atol=1e-3)
