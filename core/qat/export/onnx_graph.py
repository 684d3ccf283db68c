"""Nodes and constants of an ONNX graph, as they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from qat.export.program import Grid, IntParameter, Kind, Operation, Program, weight_scales
from qat.formats import IntFormat

OPSET, OPSET_OF_INT2 = 21, 25
INPUT, OUTPUT, BATCH = "input", "output", "batch"


def stored_offset(format: IntFormat) -> int:
    """The number added to the integers of an activation so that none is negative."""
    return 1 if format.is_binary else 2 ** (format.bits - 1) if format.signed else 0


@dataclass
class Writer:
    """Collects the nodes, constants and names of a program's graph."""

    program: Program
    opset: int
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    known: dict[Any, str] = field(default_factory=dict)
    integers: dict[str, tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layers: dict[str, str] = {}  # node of each layer, by the value that it gives
        self.order = {name: number for number, name in enumerate(self.program.values)}

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
