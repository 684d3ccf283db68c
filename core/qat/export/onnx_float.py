"""Float operations of a program as ONNX nodes, by torch's own exporter."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qat.export.program import Operation, Program, filled


class _Parts(nn.Module):
    """All float operations side by side: each has its own inputs, and gives an output."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        super().__init__()
        self.operations = operations

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = iter(inputs)
        made = []
        for operation in self.operations:
            held = {name: next(given) for name in operation.inputs}
            settings = operation.settings
            kwargs = filled(settings["kwargs"], held.__getitem__)
            made.append(settings["target"](*filled(settings["args"], held.__getitem__), **kwargs))
        return tuple(made)


def float_nodes(
    program: Program,
    operations: Sequence[Operation],
    real: Callable[[str], str],
    opset: int,
) -> tuple[list[Any], dict[str, Any]]:
    """Nodes and constants that compute ``operations``.

    Args:
        program: that they are of.
        operations: of the kind ``FLOAT``.
        real: the tensor of a value's reals.
        opset: of the nodes; torch writes up to 23, newer ones have the same operators.
    Raises:
        ValueError: torch has no ONNX form of an operation.
    """
    names = [name for operation in operations for name in operation.inputs]
    given = [program.values[name] for name in names]
    example = tuple(torch.ones(value.shape, dtype=value.dtype) for value in given)
    opened = [value.open_dims for value in given]
    model = _exported(_Parts(operations), example, opened, min(opset, 23))
    graph = model.graph
    renamed = {each.name: real(name) for each, name in zip(graph.input, names, strict=True)}
    outputs = [real(operation.output) for operation in operations]
    made = [each.name for each in graph.output]
    renamed |= dict(zip(made, outputs, strict=True))
    layers = {
        output: operation.layer for output, operation in zip(outputs, operations, strict=True)
    }
    constants = {}
    for constant in graph.initializer:
        # What depends on no input is a constant, though it is an output.
        name = renamed.setdefault(constant.name, f"float_{constant.name}")
        constant.name = name
        constants[name] = constant
    nodes = []
    for node in graph.node:
        for names_of in (node.input, node.output):
            for index, name in enumerate(names_of):
                if name:
                    names_of[index] = renamed.setdefault(name, f"float_{name}")
        node.name = f"{layers.get(node.output[0], '') or 'float'}/{node.output[0]}"
        del node.metadata_props[:]
        nodes.append(node)
    return [*nodes, *_repeated(made, outputs)], constants


def _repeated(made: Sequence[str], outputs: Sequence[str]) -> list[Any]:
    """Copies for outputs that torch gives only once, since they are computed in the same way."""
    from onnx import helper

    first: dict[str, str] = {}
    copies = []
    for name, output in zip(made, outputs, strict=True):
        if name in first:
            copies.append(helper.make_node("Identity", [outputs[made.index(name)]], [output]))
        first[name] = output
    return copies


def _exported(
    module: nn.Module,
    example: tuple[Tensor, ...],
    opened: Sequence[tuple[int, ...]],
    opset: int,
) -> Any:
    size = torch.export.Dim.DYNAMIC
    shapes = (tuple(dict.fromkeys(dims, size) or None for dims in opened),)
    try:
        with _quiet():
            exported = torch.export.export(module, example, dynamic_shapes=shapes)
            made = torch.onnx.export(exported, dynamo=True, opset_version=opset, verbose=False)
    except Exception as error:  # torch raises errors of many kinds
        told = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
        raise ValueError(f"torch has no ONNX form of it: {told[0] if told else error}") from error
    assert made is not None
    return made.model_proto


@contextlib.contextmanager
def _quiet() -> Any:
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
