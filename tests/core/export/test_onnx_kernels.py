"""Kernels and numbers of onnxruntime for files of the target ``onnx``.

Scales are powers of two, so that float64 gives each real number exactly: it is the reference.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from qat.export.onnx_file import write_onnx
from qat.export.program import Grid, IntParameter, Kind, Operation, Program, Value
from qat.formats import IntFormat
from qat.granularity import PerAxis

onnx = pytest.importorskip("onnx", reason="the export extra is not installed")
ort = pytest.importorskip("onnxruntime", reason="the export extra is not installed")

UINT8, UINT4, INT8, INT4 = (IntFormat(bits, signed) for signed in (False, True) for bits in (8, 4))
FLOAT_LAYERS = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "Add", "Concat"}
EVERY_LEVEL = [
    ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
]


class Net:
    """A program, and each of its values in float64."""

    def __init__(self, shape=(2, 4, 8, 8)):
        self.random = torch.Generator().manual_seed(0)
        self.real = {"x": torch.randn(shape, generator=self.random).double()}
        self.values, self.steps = {"x": Value("x", shape)}, []

    def step(self, kind, inputs, real, grid=None, **fields):
        name = f"value{len(self.steps)}"
        self.real[name], self.values[name] = real, Value(name, tuple(real.shape), grid)
        self.steps.append(Operation(kind, f"layer{len(self.steps)}", inputs, name, **fields))
        return name

    def quantize(self, x, format=UINT8, scale=2.0**-5, zero_point=0):
        grid = Grid(format, torch.tensor(scale), zero_point)
        if format.is_binary:
            q = torch.where(self.real[x] >= 0, 1.0, -1.0).double()
        else:
            q = (self.real[x] / scale).round() + zero_point
            q = q.clamp(format.min_value, format.max_value)
        return self.step(Kind.QUANTIZE, (x,), (q - zero_point) * scale, grid)

    def parameters(self, shape, format, scales):
        low, high = format.min_value, format.max_value
        q = torch.randint(low, high + 1, shape, generator=self.random)
        q = torch.where(q < 0, -1, 1) if format.is_binary else q
        q.view(-1)[0], q.view(-1)[-1] = low, high
        scale = torch.tensor(scales)[torch.arange(shape[0]) % len(scales)]
        scale = scale.reshape(-1, *[1] * (len(shape) - 1))
        weight = IntParameter("w", q, format, scale, torch.tensor(0.0), PerAxis(0))
        bias = torch.randint(-50, 50, shape[:1], generator=self.random)
        return weight, bias, scale.reshape(-1).double()

    def layer(self, kind, x, shape, format=INT8, scales=(2.0**-7, 2.0**-8), groups=1):
        weight, bias, steps = self.parameters(shape, format, scales)
        real_bias = bias * steps * self.values[x].grid.scale.double()
        settings = {}
        if kind is Kind.CONVOLUTION:
            settings = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": groups}
            real = F.conv2d(
                self.real[x], weight.value.double(), real_bias, padding=1, groups=groups
            )
        else:
            real = F.linear(self.real[x], weight.value.double(), real_bias)
        fields = {"weight": weight, "bias": real_bias, "bias_integers": bias}
        return self.step(kind, (x,), real, settings=settings, **fields)

    def convolution(self, x, out=4, format=INT8, groups=1):
        shape = (out, self.real[x].shape[1] // groups, 3, 3)
        return self.layer(Kind.CONVOLUTION, x, shape, format, groups=groups)

    def relu(self, x):
        return self.step(Kind.RELU, (x,), self.real[x].relu())

    def program(self, output):
        return Program(tuple(self.steps), self.values, ("x",), (output,))


def plain(net):
    x = net.convolution(net.quantize("x", INT8))
    return net.quantize(net.relu(x), UINT8, 2.0**-4)


def signed_output(net):
    return net.quantize(net.convolution(net.quantize("x", INT8)), INT8, 2.0**-3)


def four_bits(net):
    x = net.convolution(net.quantize("x", INT4, 0.25), format=INT4)
    x = net.quantize(net.relu(x), UINT4, 2.0**-5)
    return net.quantize(net.relu(net.convolution(x, format=INT4)), UINT4, 2.0**-6)


def zero_point(net):
    return net.quantize(net.convolution(net.quantize("x", UINT8, 2.0**-5, 117)), UINT8, 0.125, 99)


def depthwise(net):
    x = net.convolution(net.quantize("x", INT8), groups=4)
    return net.quantize(net.relu(x), UINT8, 2.0**-5)


def residual(net):
    skip = net.quantize("x", INT8)
    x = net.quantize(net.convolution(skip), INT8, 2.0**-3)
    x = net.step(Kind.ADD, (x, skip), net.real[x] + net.real[skip])
    return net.quantize(net.relu(x), UINT8, 2.0**-4)


def concatenation(net):
    one = plain(net)
    other = net.quantize(net.relu(net.convolution(one)), UINT8, 2.0**-3)
    real = torch.cat([net.real[one], net.real[other]], 1)
    both = net.step(Kind.CONCATENATE, (one, other), real, settings={"axis": 1})
    return net.quantize(both, UINT8, 2.0**-3)


def classifier(net):
    x = plain(net)
    pool = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1]}
    x = net.step(
        Kind.MAX_POOL, (x,), F.max_pool2d(net.real[x], 2), net.values[x].grid,
        settings={**pool, "ceil": False},
    )  # fmt: skip
    x = net.step(Kind.GLOBAL_POOL, (x,), net.real[x].mean((2, 3), keepdim=True))
    x = net.quantize(x, UINT8, 2.0**-4)
    x = net.step(
        Kind.FLATTEN, (x,), net.real[x].flatten(1), net.values[x].grid, settings={"start": 1}
    )
    return net.quantize(net.layer(Kind.LINEAR, x, (3, 4)), INT8, 2.0**-4)


def binary(net):
    x = net.quantize("x", IntFormat(1), 1.0)
    return net.quantize(net.convolution(x, format=IntFormat(1)), INT8, 2.0**-7)


def session(path, level, dump=None):
    options = ort.SessionOptions()
    options.graph_optimization_level, options.intra_op_num_threads = level, 1
    options.log_severity_level = 3
    if dump is not None:
        options.optimized_model_filepath = str(dump)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def fused(net, output, tmp_path):
    path = write_onnx(net.program(output), tmp_path / "net.onnx").path
    session(path, EVERY_LEVEL[-1], tmp_path / "fused.onnx")
    return Counter(node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node)


def narrow(net):
    return net.quantize("x", IntFormat(4, narrow=True), 0.25)


def unsigned_weights(net):
    x = net.quantize("x", INT8)
    weight, *_ = net.parameters((4, 4, 3, 3), UINT8, (2.0**-9,))
    weight = IntParameter(
        "w", weight.integers, UINT8, weight.scale, torch.tensor(131.0), PerAxis(0)
    )
    real = F.conv2d(net.real[x], weight.value.double(), padding=1)
    settings = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    x = net.step(Kind.CONVOLUTION, (x,), real, settings=settings, weight=weight)
    return net.quantize(x, INT8, 2.0**-4)


def rows(net):
    x = plain(net)
    real, grid = net.real[x].flatten(2), net.values[x].grid
    return net.step(Kind.FLATTEN, (x,), real, grid, settings={"start": 2})


EXPECTED = {
    plain: {"QLinearConv": 1},
    signed_output: {"QLinearConv": 1},
    four_bits: {"QLinearConv": 2},
    zero_point: {"QLinearConv": 1},
    depthwise: {"QLinearConv": 1},
    residual: {"QLinearConv": 1, "QLinearAdd": 1},
    concatenation: {"QLinearConv": 2, "QLinearConcat": 1},
    classifier: {"QLinearConv": 1, "NhwcMaxPool": 1, "QLinearGlobalAveragePool": 1, "QGemm": 1},
}


@pytest.mark.parametrize("build", EXPECTED, ids=lambda build: build.__name__)
def test_each_layer_runs_as_an_integer_kernel(build, tmp_path):
    net = Net()
    found = fused(net, build(net), tmp_path)
    assert {kind: found[kind] for kind in EXPECTED[build]} == EXPECTED[build], found
    assert not FLOAT_LAYERS & set(found), found


@pytest.mark.parametrize("level", EVERY_LEVEL, ids=["plain", "optimized"])
@pytest.mark.parametrize(
    "build", [*EXPECTED, binary, rows, narrow, unsigned_weights], ids=lambda build: build.__name__
)
def test_the_runtime_gives_the_exact_numbers(build, level, tmp_path):
    net = Net()
    output = build(net)
    path = write_onnx(net.program(output), tmp_path / "net.onnx").path
    given = net.real["x"].float().numpy()
    (found,) = session(path, level).run(None, {"input": given})
    assert len(np.unique(found)) > 2
    np.testing.assert_array_equal(found, net.real[output].numpy())


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8])
def test_weights_of_any_width_come_back_whole(bits, tmp_path):
    net = Net()
    x = net.convolution(net.quantize("x", INT8), format=IntFormat(bits))
    output = net.quantize(x, INT8, 2.0**-4)
    for opset in (21, 25):
        path = write_onnx(net.program(output), tmp_path / "net.onnx", opset).path
        (found,) = session(path, EVERY_LEVEL[-1]).run(
            None, {"input": net.real["x"].float().numpy()}
        )
        np.testing.assert_array_equal(found, net.real[output].numpy())


def test_the_file_shrinks_with_the_bits_of_the_weights(tmp_path):
    def size(bits, opset):
        net = Net((1, 64, 4, 4))
        x = net.convolution(net.quantize("x", INT8), 64, IntFormat(bits))
        return write_onnx(net.program(net.quantize(x, INT8)), tmp_path / "net.onnx", opset).bytes

    weights, room = 64 * 64 * 9, 3000  # room: nodes, scales and biases
    assert weights <= size(8, 21) < weights + room
    assert weights // 2 <= size(4, 21) < weights // 2 + room
    assert weights // 4 <= size(2, 25) < weights // 4 + room
