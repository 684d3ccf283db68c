"""The ONNX operators of a program's operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from qat.export.onnx_graph import Writer
from qat.export.program import IntParameter, Kind, Operation


def _both_ends(padding: Sequence[int]) -> list[int]:
    return [*padding, *padding]


def _quantize(writer: Writer, operation: Operation) -> None:
    grid = writer.program.values[operation.output].grid
    assert grid is not None
    source, ends = writer.real(operation.inputs[0]), writer.program.ends(operation)
    writer.on_grid(source, operation.output, grid, operation.layer, ends)


def _convolution(writer: Writer, operation: Operation) -> None:
    settings = operation.settings
    weight = operation.weight
    assert weight is not None
    shape = (weight.integers if isinstance(weight, IntParameter) else weight).shape
    is_transposed = settings.get("transposed", False)
    axis = 1 if is_transposed else 0
    more = {
        "strides": settings["stride"],
        "pads": _both_ends(settings["padding"]),
        "dilations": settings["dilation"],
        "group": settings["groups"],
        "kernel_shape": list(shape[2:]),
    }
    if is_transposed:
        more["output_padding"] = settings["output_padding"]
    x, channels = writer.real(operation.inputs[0]), shape[axis] * (
        settings["groups"] if is_transposed else 1
    )  # fmt: skip
    inputs = [x, writer.weight(operation, axis), *writer.bias(operation, channels)]
    writer.give("ConvTranspose" if is_transposed else "Conv", operation, inputs, **more)


def _linear(writer: Writer, operation: Operation) -> None:
    x, weight = operation.inputs[0], operation.weight
    assert weight is not None
    channels = (weight.integers if isinstance(weight, IntParameter) else weight).shape[0]
    if len(writer.program.values[x].shape) == 2:
        inputs = [writer.real(x), writer.weight(operation, 0), *writer.bias(operation, channels)]
        writer.give("Gemm", operation, inputs, transB=1)
        return
    inputs = [writer.real(x), writer.weight(operation, 0, transpose=True)]
    bias = writer.bias(operation, channels)
    if not bias:
        writer.give("MatMul", operation, inputs)
        return
    product = writer.node("MatMul", inputs, f"{writer.short(operation.output)}p", operation.layer)
    writer.give("Add", operation, [product, *bias])


def _plain(kind: str) -> Callable[[Writer, Operation], None]:
    def write(writer: Writer, operation: Operation) -> None:
        writer.give(kind, operation, [writer.real(name) for name in operation.inputs])

    return write


def _clip(writer: Writer, operation: Operation) -> None:
    ends = [
        writer.constant(
            f"{writer.short(operation.output)}{end[0]}", np.float32(operation.settings[end])
        )
        for end in ("low", "high")
    ]
    writer.give("Clip", operation, [writer.real(operation.inputs[0]), *ends])


def _max_pool(writer: Writer, operation: Operation) -> None:
    settings = operation.settings
    writer.give(
        "MaxPool",
        operation,
        [writer.real(operation.inputs[0])],
        kernel_shape=settings["kernel"],
        strides=settings["stride"],
        pads=_both_ends(settings["padding"]),
        dilations=settings["dilation"],
        ceil_mode=int(settings["ceil"]),
    )


def _average_pool(writer: Writer, operation: Operation) -> None:
    settings = operation.settings
    writer.give(
        "AveragePool",
        operation,
        [writer.real(operation.inputs[0])],
        kernel_shape=settings["kernel"],
        strides=settings["stride"],
        pads=_both_ends(settings["padding"]),
        ceil_mode=int(settings["ceil"]),
        count_include_pad=int(settings["count_padding"]),
    )


def _flatten(writer: Writer, operation: Operation) -> None:
    source, start = writer.real(operation.inputs[0]), operation.settings["start"]
    if start == 1:
        writer.give("Flatten", operation, [source], axis=1)
        return
    shape = np.array([*[0] * start, -1], np.int64)  # Flatten gives two dimensions, whatever start
    name = writer.constant(f"{writer.short(operation.output)}t", shape)
    writer.give("Reshape", operation, [source, name])


def _concatenate(writer: Writer, operation: Operation) -> None:
    inputs = [writer.real(name) for name in operation.inputs]
    writer.give("Concat", operation, inputs, axis=operation.settings["axis"])


def _affine(writer: Writer, operation: Operation) -> None:
    dims = len(writer.program.values[operation.output].shape)
    shape = [1, -1, *[1] * (dims - 2)]
    factor, shift = (
        writer.constant(
            f"{writer.short(operation.output)}{name[0]}",
            operation.settings[name].reshape(shape).numpy().astype(np.float32),
        )
        for name in ("factor", "shift")
    )
    source = [writer.real(operation.inputs[0]), factor]
    product = writer.node("Mul", source, f"{writer.short(operation.output)}p", operation.layer)
    writer.give("Add", operation, [product, shift])


OPERATORS: Mapping[Kind, Callable[[Writer, Operation], None]] = {
    Kind.QUANTIZE: _quantize,
    Kind.CONVOLUTION: _convolution,
    Kind.LINEAR: _linear,
    Kind.RELU: _plain("Relu"),
    Kind.CLIP: _clip,
    Kind.ADD: _plain("Add"),
    Kind.MAX_POOL: _max_pool,
    Kind.AVERAGE_POOL: _average_pool,
    Kind.GLOBAL_POOL: _plain("GlobalAveragePool"),
    Kind.FLATTEN: _flatten,
    Kind.CONCATENATE: _concatenate,
    Kind.AFFINE: _affine,
}
