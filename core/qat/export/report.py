"""Layers of a program as lines of a table: types, kernels, reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from qat.export.onnx_run import INTEGER_KERNELS
from qat.export.program import Grid, IntParameter, Kind, Operation, Program


@dataclass(frozen=True)
class LayerLine:
    """One layer of an exported network.

    Args:
        layer: dotted name in the model.
        kind: ``convolution`` or ``linear``.
        weight, input, output: the integers, such as ``int8``; ``float`` where there are none.
        runs_as: the runtime's operator; empty where it is not known.
        reason: why it is no integer operator; empty where it is.
    """

    layer: str
    kind: str
    weight: str
    input: str
    output: str
    runs_as: str
    reason: str

    @property
    def is_integer(self) -> bool:
        """Whether the runtime multiplies integers."""
        return self.runs_as in INTEGER_KERNELS


def layer_lines(program: Program, kernels: Mapping[str, str]) -> list[LayerLine]:
    """A line for each layer with a weight.

    Args:
        program: that was exported.
        kernels: operators of the runtime, by the value that a layer gives.
    """
    readers = program.readers()
    lines = []
    for operation in program.operations:
        if operation.weight is None:
            continue
        behind = readers[operation.output]
        grids = [program.values[each.output].grid for each in behind if each.kind is Kind.QUANTIZE]
        runs_as = kernels.get(operation.output, "")
        reason = "" if runs_as in INTEGER_KERNELS else _reason(program, operation, behind)
        weight = operation.weight
        lines.append(
            LayerLine(
                operation.layer,
                operation.kind.value,
                "float" if isinstance(weight, Tensor) else weight.format.name,
                _name(program.values[operation.inputs[0]].grid),
                _name(grids[0] if grids else None),
                runs_as,
                reason,
            )
        )
    return lines


def _name(grid: Grid | None) -> str:
    return "float" if grid is None else grid.format.name


def _reason(program: Program, operation: Operation, behind: list[Operation]) -> str:
    if not isinstance(operation.weight, IntParameter):
        return "its weight is float"
    if program.values[operation.inputs[0]].grid is None:
        return "its input is on no grid"
    if operation.settings.get("transposed"):
        return "the runtime has no integer transposed convolution"
    if operation.output in program.outputs:
        return ""
    if len(behind) > 1:
        return "what it gives goes to several places before it is quantized"
    first = behind[0] if behind else None
    if first is not None and first.kind is not Kind.QUANTIZE:
        return f"what it gives goes through {_called(first)} before it is quantized"
    grid = program.values[first.output].grid if first is not None else None
    if grid is not None and grid.format.is_binary:
        return "what it gives becomes signs"
    return "the runtime did not fuse it"


def _called(operation: Operation) -> str:
    if operation.kind is not Kind.FLOAT:
        return operation.kind.value.replace("_", " ")
    target = operation.settings["target"]
    return str(getattr(getattr(target, "overloadpacket", target), "__name__", target))
