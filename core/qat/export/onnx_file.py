"""The target ``onnx``: integers between QuantizeLinear and DequantizeLinear.

Each value with a grid is written as QuantizeLinear and DequantizeLinear, weights as integers and
DequantizeLinear, so that a runtime sees which layers are integer and any other computes the same
reals. Activations are uint8 whatever their sign, moved by half the range where they are signed:
that is what onnxruntime fuses on a CPU. Below 8 bit a Clip on the integers keeps them in range.
Weights of up to 4 bit lie packed in the file and are cast to int8 when it is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qat.export.onnx_float import float_nodes
from qat.export.onnx_graph import BATCH, OPSET, OPSET_OF_INT2, Writer
from qat.export.onnx_operators import OPERATORS
from qat.export.program import Kind, Program

_IR = {OPSET: 10, OPSET_OF_INT2: 13}


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
    writer = Writer(program, opset)
    model = _model(writer, metadata or {})
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
    writer = Writer(program, OPSET)
    for operation in program.operations:
        if operation.kind is not Kind.FLOAT:
            OPERATORS[operation.kind](writer, operation)
    return Written(path, writer.integers, writer.layers, path.stat().st_size)


def _model(writer: Writer, metadata: Mapping[str, str]) -> Any:
    from onnx import TensorProto, helper

    program = writer.program
    floats = [each for each in program.operations if each.kind is Kind.FLOAT]
    for operation in program.operations:
        if operation.kind is not Kind.FLOAT:
            OPERATORS[operation.kind](writer, operation)
    if floats:
        nodes, constants = float_nodes(program, floats, writer.real, writer.opset)
        writer.nodes += nodes
        writer.constants |= constants
    dims = [_io(writer, name, TensorProto.FLOAT) for name in (*program.inputs, *program.outputs)]
    count = len(program.inputs)
    graph = helper.make_graph(
        in_order(writer.nodes, {*writer.constants, *map(writer.real, program.inputs)}),
        "qat",
        dims[:count],
        dims[count:],
        list(writer.constants.values()),
    )
    imports = [helper.make_opsetid("", writer.opset)]
    model = helper.make_model(graph, opset_imports=imports, producer_name="qat")
    model.ir_version = _IR[writer.opset]
    helper.set_model_props(model, dict(metadata))
    return model


def _io(writer: Writer, name: str, kind: int) -> Any:
    from onnx import helper

    shape = writer.program.values[name].shape
    return helper.make_tensor_value_info(writer.real(name), kind, [BATCH, *shape[1:]])


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
