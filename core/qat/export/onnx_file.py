"""The target ``onnx``: integers between QuantizeLinear and DequantizeLinear.

Each value with a grid is written as QuantizeLinear and DequantizeLinear, weights as integers and
DequantizeLinear, so that a runtime sees which layers are integer and any other computes the same
reals. Activations are uint8 whatever their sign, moved by half the range where they are signed:
that is what onnxruntime fuses on a CPU. Below 8 bit a Clip on the integers keeps them in range.
Weights of up to 4 bit lie packed in the file and are cast to int8 when it is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from qat.export.onnx_float import float_nodes
from qat.export.program import (
    Grid,
    IntParameter,
    Kind,
    Operation,
    Program,
    weight_scales,
)
from qat.formats import IntFormat

OPSET, OPSET_OF_INT2 = 21, 25
_IR = {21: 10, 25: 13}
INPUT, OUTPUT, BATCH = "input", "output", "batch"


@dataclass(frozen=True)
class Written:
    """An ONNX file.

    Args:
        path: of the file.
        integers: by value of the program with a grid: the tensor that holds its integers, and the
            number that was added to them.
        nodes: by value that a layer gives: the name of the layer's node.
        bytes: of the file.
    """

    path: Path
    integers: Mapping[str, tuple[str, int]]
    nodes: Mapping[str, str]
    bytes: int


def write_onnx(
    program: Program,
    path: Path,
    opset: int = OPSET,
    metadata: Mapping[str, str] | None = None,
) -> Written:
    """Write ``program`` to ``path``, which is replaced as a whole or not at all.

    Args:
        program: as :func:`qat.export.lowering.lower` gives it.
        path: of the file.
        opset: 21, or 25 to store weights of 2 bit and less as int2.
        metadata: texts for the model's properties.
    Raises:
        ValueError: another opset; a layer that ONNX has no operator for.
        OSError: the file cannot be written.
    """
    import onnx

    if opset not in _IR:
        raise ValueError(f"opset {opset} is not written; choose {OPSET} or {OPSET_OF_INT2}.")
    writer = _Writer(program, opset)
    model = writer.model(metadata or {})
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True))
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_bytes(model.SerializeToString())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return Written(path, writer.integers, writer.layers, path.stat().st_size)


def written_as(program: Program, path: Path) -> Written:
    """Where :func:`write_onnx` has put what is in ``program``; the file is not read."""
    writer = _Writer(program, OPSET)
    for operation in program.operations:
        if operation.kind is not Kind.FLOAT:
            _OPERATORS[operation.kind](writer, operation)
    return Written(path, writer.integers, writer.layers, path.stat().st_size)


def stored_offset(format: IntFormat) -> int:
    """The number added to the integers of an activation so that none is negative."""
    return 1 if format.is_binary else 2 ** (format.bits - 1) if format.signed else 0


@dataclass
class _Writer:
    program: Program
    opset: int
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    known: dict[Any, str] = field(default_factory=dict)
    integers: dict[str, tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layers: dict[str, str] = {}  # node of each layer, by the value that it gives
        self.order = {name: number for number, name in enumerate(self.program.values)}

    def model(self, metadata: Mapping[str, str]) -> Any:
        from onnx import TensorProto, helper

        program = self.program
        floats = [each for each in program.operations if each.kind is Kind.FLOAT]
        for operation in program.operations:
            if operation.kind is not Kind.FLOAT:
                _OPERATORS[operation.kind](self, operation)
        if floats:
            nodes, constants = float_nodes(program, floats, self.real, self.opset)
            self.nodes += nodes
            self.constants |= constants
        dims = [self.io(name, TensorProto.FLOAT) for name in (*program.inputs, *program.outputs)]
        count = len(program.inputs)
        graph = helper.make_graph(
            in_order(self.nodes, {*self.constants, *map(self.real, program.inputs)}),
            "qat",
            dims[:count],
            dims[count:],
            list(self.constants.values()),
        )
        imports = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=imports, producer_name="qat")
        model.ir_version = _IR[self.opset]
        helper.set_model_props(model, dict(metadata))
        return model

    def io(self, name: str, kind: int) -> Any:
        from onnx import helper

        shape = self.program.values[name].shape
        return helper.make_tensor_value_info(self.real(name), kind, [BATCH, *shape[1:]])

    def real(self, name: str) -> str:
        """The float tensor of a value."""
        for names, io in ((self.program.inputs, INPUT), (self.program.outputs, OUTPUT)):
            if name in names:
                return io if len(names) == 1 else f"{io}_{names.index(name)}"
        return (
            self.short(name) if self.program.values[name].grid is None else f"{self.short(name)}d"
        )

    def short(self, name: str) -> str:
        """A value in the file: names are repeated at every reader, and add up."""
        return f"v{self.order[name]}"

    def node(self, kind: str, inputs: Sequence[str], output: str, layer: str, **more: Any) -> str:
        from onnx import helper

        name = f"{layer}/{output}" if layer else output
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=name, **more))
        return output

    def constant(self, name: str, numbers: Any) -> str:
        from onnx import numpy_helper

        held = np.array(numbers, order="C")  # of no dimension where it is one number
        if held.ndim == 0:  # there are few different ones
            name = self.known.setdefault((held.dtype, held.tobytes()), name)
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(held, name)
        return name

    def on_grid(
        self, source: str, name: str, grid: Grid, layer: str, ends: tuple[int, int] | None = None
    ) -> None:
        """Q, a Clip where the integers end before those of their type, and DQ of a value."""
        short, format = self.short(name), grid.format
        kind, offset = _activation_type(format, layer), stored_offset(format)
        scale = self.constant(f"{short}s", grid.scale.numpy().astype(np.float32))
        zero = self.constant(f"{short}z", kind(grid.zero_point + offset))
        if format.is_binary:
            source = self.signs(source, short, grid, layer)
        q = self.node("QuantizeLinear", [source, scale, zero], f"{short}q", layer)
        low, high = (end + offset for end in ends or (format.min_value, format.max_value))
        if (low, high) != (0, int(np.iinfo(kind).max)) and not format.is_binary:
            least = self.constant(f"{short}l", kind(low))
            largest = self.constant(f"{short}h", kind(high))
            q = self.node("Clip", [q, least, largest], f"{short}c", layer)
        self.integers[name] = q, offset
        self.node("DequantizeLinear", [q, scale, zero], self.real(name), layer)

    def signs(self, source: str, name: str, grid: Grid, layer: str) -> str:
        step = grid.scale.numpy().astype(np.float32)
        zero = self.constant(f"{name}n", np.float32(0))
        ends = [self.constant(f"{name}p", step), self.constant(f"{name}m", -step)]
        is_positive = self.node("GreaterOrEqual", [source, zero], f"{name}o", layer)
        return self.node("Where", [is_positive, *ends], f"{name}g", layer)

    def give(self, kind: str, operation: Operation, inputs: Sequence[str], **more: Any) -> None:
        """A node for an operation; on a grid where the operation keeps that of its input."""
        name, grid = operation.output, self.program.values[operation.output].grid
        if grid is None:
            self.node(kind, inputs, self.real(name), operation.layer, **more)
            if operation.weight is not None:
                self.layers[name] = self.nodes[-1].name
            return
        self.node(kind, inputs, f"{self.short(name)}r", operation.layer, **more)
        self.on_grid(f"{self.short(name)}r", name, grid, operation.layer)

    def weight(self, operation: Operation, axis: int, transpose: bool = False) -> str:
        """The float tensor of a weight."""
        weight, name = operation.weight, f"{self.short(operation.output)}w"
        assert weight is not None
        if isinstance(weight, Tensor):
            held = weight.float().numpy()
            return self.constant(name, held.T if transpose else held)
        channels = weight.integers.shape[axis]
        scales = weight_scales(weight, channels).numpy()
        zeros = weight.zero_point.reshape(-1).expand(channels).numpy()
        q, zeros = weight.integers.numpy(), zeros.astype(np.int64)
        if not weight.format.signed and weight.format.max_value > 127:
            q, zeros = q - 128, zeros - 128
        stored = self.packed(name, q.T if transpose else q, operation.shift)
        inputs = [stored, self.constant(f"{name}s", scales / np.float32(2**operation.shift))]
        if zeros.any() or operation.kind is Kind.LINEAR:  # onnxruntime fuses no Gemm without
            inputs.append(self.constant(f"{name}z", zeros.astype(np.int8)))
        axis = q.ndim - 1 - axis if transpose else axis
        return self.node("DequantizeLinear", inputs, f"{name}d", operation.layer, axis=axis)

    def packed(self, name: str, q: Any, shift: int) -> str:
        """Integers in the fewest bits that the opset has, as int8 and shifted up."""
        import ml_dtypes
        from onnx import TensorProto

        low, high = (int(q.min()), int(q.max())) if q.size else (0, 0)
        if self.opset >= OPSET_OF_INT2 and -2 <= low and high <= 1:
            kind: Any = ml_dtypes.int2
        elif -8 <= low and high <= 7:
            kind = ml_dtypes.int4
        else:
            kind = np.int8
        self.constant(name, q.astype(kind))
        if shift > 0:  # runtimes do this once, when they load the file
            up = self.constant(f"{name}u", np.float32(2**shift))
            real = self.node("Cast", [name], f"{name}f", "", to=TensorProto.FLOAT)
            name = self.node("Mul", [real, up], f"{name}m", "")
        elif kind is np.int8:
            return name
        return self.node("Cast", [name], f"{name}i", "", to=TensorProto.INT8)

    def bias(self, operation: Operation, channels: int) -> list[str]:
        """The float tensor of a bias, if there is one."""
        if operation.bias is None:
            return []
        name = f"{self.short(operation.output)}b"
        if operation.bias_integers is None:
            return [self.constant(name, operation.bias.numpy().astype(np.float32))]
        grid = self.program.values[operation.inputs[0]].grid
        assert grid is not None and isinstance(operation.weight, IntParameter)
        scales = weight_scales(operation.weight, channels) / 2**operation.shift * grid.scale
        stored = self.constant(name, operation.bias_integers.numpy().astype(np.int32))
        inputs = [stored, self.constant(f"{name}s", scales.numpy())]
        return [self.node("DequantizeLinear", inputs, f"{name}d", operation.layer, axis=0)]


def _activation_type(format: IntFormat, layer: str) -> Any:
    if format.bits > 16:
        raise ValueError(
            f"layer {layer!r}: activations of {format.bits} bit; ONNX has at most 16 here."
        )
    return np.uint8 if format.bits <= 8 else np.uint16


def in_order(nodes: Sequence[Any], known: set[str]) -> list[Any]:
    """The nodes so that each comes behind what it reads."""
    known, ordered, left = {*known, ""}, [], list(nodes)
    while left:
        ready = [node for node in left if known.issuperset(node.input)]
        if not ready:
            missing = sorted({name for node in left for name in node.input} - known)
            raise ValueError(f"nothing gives {', '.join(missing[:3])}")
        ordered += ready
        known.update(name for node in ready for name in node.output)
        left = [node for node in left if not known.issuperset(node.output)]
    return ordered


def _both_ends(padding: Sequence[int]) -> list[int]:
    return [*padding, *padding]


def _quantize(writer: _Writer, operation: Operation) -> None:
    grid = writer.program.values[operation.output].grid
    assert grid is not None
    source, ends = writer.real(operation.inputs[0]), writer.program.ends(operation)
    writer.on_grid(source, operation.output, grid, operation.layer, ends)


def _convolution(writer: _Writer, operation: Operation) -> None:
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


def _linear(writer: _Writer, operation: Operation) -> None:
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


def _plain(kind: str) -> Callable[[_Writer, Operation], None]:
    def write(writer: _Writer, operation: Operation) -> None:
        writer.give(kind, operation, [writer.real(name) for name in operation.inputs])

    return write


def _clip(writer: _Writer, operation: Operation) -> None:
    ends = [
        writer.constant(
            f"{writer.short(operation.output)}{end[0]}", np.float32(operation.settings[end])
        )
        for end in ("low", "high")
    ]
    writer.give("Clip", operation, [writer.real(operation.inputs[0]), *ends])


def _max_pool(writer: _Writer, operation: Operation) -> None:
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


def _average_pool(writer: _Writer, operation: Operation) -> None:
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


def _flatten(writer: _Writer, operation: Operation) -> None:
    source, start = writer.real(operation.inputs[0]), operation.settings["start"]
    if start == 1:
        writer.give("Flatten", operation, [source], axis=1)
        return
    shape = np.array([*[0] * start, -1], np.int64)  # Flatten gives two dimensions, whatever start
    name = writer.constant(f"{writer.short(operation.output)}t", shape)
    writer.give("Reshape", operation, [source, name])


def _concatenate(writer: _Writer, operation: Operation) -> None:
    inputs = [writer.real(name) for name in operation.inputs]
    writer.give("Concat", operation, inputs, axis=operation.settings["axis"])


def _affine(writer: _Writer, operation: Operation) -> None:
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


_OPERATORS: Mapping[Kind, Callable[[_Writer, Operation], None]] = {
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
