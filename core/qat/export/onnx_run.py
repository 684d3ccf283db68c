"""Runs of an exported ONNX file by onnxruntime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qat.export.onnx_file import Written
from qat.export.onnx_graph import INPUT, OUTPUT, stored_offset
from qat.export.program import IntParameter, Program

#: Operators of onnxruntime that multiply integers.
INTEGER_KERNELS = frozenset({"QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat"})


class WrongFile(ValueError):
    """The file is not the one that this program was written to."""


def run_onnx(
    written: Written, program: Program, images: Tensor, optimized: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """What onnxruntime computes on one thread of the CPU.

    Args:
        written: the file.
        program: that it was written from.
        images: float32, a batch.
        optimized: with all of the runtime's fusions, or with none.
    Returns:
        The integers of each value with a grid, int64, and the output.
    Raises:
        WrongFile: it lacks a tensor that the program has.
    """
    import onnx

    model = onnx.load(written.path)
    have = {name for node in model.graph.node for name in node.output}
    for tensor, _ in written.integers.values():
        if tensor not in have:
            raise WrongFile(f"{written.path} has no tensor {tensor!r}: it is of another network")
        if tensor not in {each.name for each in model.graph.output}:
            model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    session = _session(model.SerializeToString(), optimized)
    names = [each.name for each in session.get_outputs()]
    made = dict(zip(names, session.run(None, {INPUT: images.numpy()}), strict=True))
    integers = {
        value: torch.from_numpy(made[tensor].astype(np.int64)) - offset
        for value, (tensor, offset) in written.integers.items()
    }
    return integers, torch.from_numpy(made[OUTPUT])


def kernels(written: Written) -> dict[str, str]:
    """The operator that onnxruntime runs each layer with, by the value that the layer gives."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "optimized.onnx"
        _session(str(written.path), optimized=True, kept=kept)
        nodes = onnx.load(kept).graph.node
    found = {}
    for value, name in written.nodes.items():
        ran = [node.op_type for node in nodes if _is_of(node.name, name)]
        found[value] = next(
            (each for each in ran if each in INTEGER_KERNELS), ran[0] if ran else ""
        )
    return found


def _is_of(name: str, layer: str) -> bool:
    # A fused node is called after the first of its parts, with a number behind.
    return name == layer or name.startswith((f"{layer}_", f"{layer}/"))


def _session(model: Any, optimized: bool, kept: Path | None = None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    )
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    if kept is not None:
        options.optimized_model_filepath = str(kept)
    # Else products with weights of few bits would round their inputs a second time.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def parameters(path: Path, program: Program) -> dict[str, dict[str, Any]]:
    """What the file holds for each layer and each grid, by the name of the program's value.

    Of a layer ``weight`` (the integers, or the floats), ``scale``, ``zero_point``, ``bias`` and
    ``bias_scale``; of a grid ``scale`` and ``zero_point``, the offset taken off.

    Raises:
        WrongFile: it cannot be read, or lacks something.
    """
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
    except Exception as error:  # protobuf raises errors of its own
        raise WrongFile(f"{path} is no ONNX file: {error}") from error
    held = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}

    def constant(name: str) -> Any:
        while name in makers and makers[name].op_type in ("Cast", "Mul"):
            name = makers[name].input[0]
        if name not in held:
            raise WrongFile(f"{path} has no constant {name!r}: it is of another network")
        return held[name]

    def operands(name: str) -> list[Any]:
        node = makers.get(name)
        if node is None or node.op_type != "DequantizeLinear":
            return [constant(name)]
        return [constant(each) for each in node.input]

    found: dict[str, dict[str, Any]] = {}
    order = {name: f"v{number}" for number, name in enumerate(program.values)}
    for operation in program.operations:
        short, grid = order[operation.output], program.values[operation.output].grid
        if operation.weight is not None:
            is_integer = isinstance(operation.weight, IntParameter)
            parts = operands(f"{short}wd" if is_integer else f"{short}w")
            entry = dict(zip(("weight", "scale", "zero_point"), parts, strict=False))
            if operation.bias_integers is not None:
                entry |= dict(zip(("bias", "bias_scale"), operands(f"{short}bd"), strict=False))
            elif operation.bias is not None:
                entry["bias"] = constant(f"{short}b")
            found[operation.output] = entry
        elif grid is not None:
            node = makers.get(f"{short}q")
            if node is None or node.op_type != "QuantizeLinear":
                raise WrongFile(f"{path}: nothing quantizes {short}q: it is of another network")
            scale, zero_point = (constant(each) for each in node.input[1:3])
            offset = stored_offset(grid.format)
            found[operation.output] = {"scale": scale, "zero_point": int(zero_point) - offset}
    return found
