"""The lowering of a model to a program, traced by torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from qat.export.fold import in_final_form
from qat.export.marks import MARK, Marked, with_marks
from qat.export.moves import ALIASES, MOVES, without_tuple
from qat.export.operations import READERS
from qat.export.program import (
    BatchOf,
    FloatPart,
    Grid,
    IntParameter,
    Kind,
    Operation,
    Program,
    Reference,
    Value,
)
from qat.granularity import PerTensor

#: Ends of paths of modules that belong to a quantizer, not to the model.
_OF_QUANTIZERS = ("act_quant", "input_quant", "other_quant", "output_quant", "weight_quant")


@dataclass(frozen=True)
class Lowered:
    """A program, and what of the quantized model is float in it.

    Args:
        program: in its final form, see :func:`qat.export.fold.in_final_form`.
        kept: quantizers that are float operations of the program, each with its reason.
        notes: what else a user should know.
    """

    program: Program
    kept: list[FloatPart]
    notes: list[str]


@torch.no_grad()
def lower(model: nn.Module, example: tuple[Any, ...]) -> Lowered:
    """The program that ``model`` computes in evaluation.

    Args:
        model: quantized; it stays as it is.
        example: its arguments, for a batch of at least 2.
    Raises:
        ValueError: torch cannot trace the model; the text has torch's reason.
    """
    marked, found = with_marks(model, example)
    dynamic = tuple({0: torch.export.Dim.AUTO} if x.dim() > 0 else None for x in example)
    try:
        exported = torch.export.export(_Inside(marked), example, dynamic_shapes=(dynamic,))
        exported = exported.run_decompositions({})  # of none: only writes in place become values
    except Exception as error:  # torch raises errors of many kinds
        reason = str(error).strip().splitlines()
        raise ValueError(
            f"torch.export cannot trace the model: {reason[0] if reason else type(error).__name__}"
        ) from error
    reading = _Reading(exported, found)
    program = reading.program()
    kept = [FloatPart(name, each.reason) for name, each in found.items() if each.reason]
    final, notes = in_final_form(program)
    return Lowered(final, [*kept, *reading.kept], [*reading.notes, *notes])


class _Inside(nn.Module):
    """Makes every signature the same."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any) -> Any:
        return self.model(*inputs)


@dataclass
class Node:
    """A call in the traced graph, for the functions that read it.

    Args:
        args, kwargs: of the call; :class:`Reference` for values, tensors for constants.
        weights: constants that are integers, by the identity of the tensor.
        shape: of the result.
        shapes: of values, by name.
    """

    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    weights: Mapping[int, IntParameter]
    shape: tuple[int, ...]
    shapes: Mapping[str, tuple[int, ...]]


class _Reading:
    def __init__(self, exported: Any, found: Mapping[str, Marked]) -> None:
        self.graph: fx.Graph = exported.graph
        self.found = found
        self.constants: dict[fx.Node, Any] = {}
        self.weights: dict[int, IntParameter] = {}
        self.names: dict[fx.Node, str] = {}
        self.values: dict[str, Value] = {}
        self.operations: list[Operation] = []
        self.kept: list[FloatPart] = []
        self.notes: list[str] = []
        signature = exported.graph_signature
        held = {**exported.state_dict, **exported.constants}
        self.held = {
            **{name: held[at] for name, at in signature.inputs_to_parameters.items()},
            **{name: held[at] for name, at in signature.inputs_to_buffers.items()},
            **{name: held[at] for name, at in signature.inputs_to_lifted_tensor_constants.items()},
        }

    def program(self) -> Program:
        inputs: list[str] = []
        outputs: list[str] = []
        for node in self.graph.nodes:
            if node.op == "placeholder":
                if node.name in self.held:
                    self.constants[node] = self.held[node.name].detach()
                else:
                    inputs.append(self.new_value(node))
            elif node.op == "output":
                outputs = [self.names[each] for each in node.all_input_nodes]
            else:
                self.read(node)
        batch = self.values[inputs[0]] if inputs else None
        if batch is not None and isinstance(self.example_dim(inputs[0]), int):
            self.notes.append(f"the model takes batches of {batch.shape[0]} only")
        return Program(tuple(self.operations), self.values, tuple(inputs), tuple(outputs))

    def example_dim(self, name: str) -> Any:
        node = next(each for each, found in self.names.items() if found == name)
        return node.meta["val"].shape[0]

    def new_value(self, node: fx.Node, grid: Grid | None = None, suffix: str = "") -> str:
        name = f"{node.name}{suffix}"
        made = node.meta["val"]
        if not isinstance(made, Tensor):
            raise ValueError(f"{self.layer(node) or 'the model'}: {node.target} gives no tensor.")
        sizes = enumerate(made.shape)
        open_dims = tuple(dim for dim, size in sizes if isinstance(size, torch.SymInt))
        self.values[name] = Value(name, _sizes(made.shape), grid, open_dims, made.dtype)
        if not suffix:
            self.names[node] = name
        return name

    def read(self, node: Any) -> None:
        if all(each in self.constants for each in node.all_input_nodes):
            self.constants[node] = self.computed(node)
            return
        if not isinstance(node.meta.get("val"), Tensor):
            return  # sizes, and tuples that operator.getitem takes apart
        if node.target in ALIASES:
            self.names[node] = self.names[node.args[0]]
            return
        if node.target is MARK:
            self.read_mark(node)
            return
        target, args, kwargs = without_tuple(node)
        seen = Node(
            target,
            _without_batch(target, tuple(self.argument(each) for each in args)),
            {name: self.argument(each) for name, each in kwargs.items()},
            self.weights,
            _sizes(node.meta["val"].shape),
            {name: value.shape for name, value in self.values.items()},
        )
        reader: Callable[..., Any] | None = READERS.get(target)
        steps = None if reader is None else reader(seen)
        grid = self.grid_of(seen) if target in MOVES else None
        if steps is None:
            settings = {"target": target, "args": seen.args, "kwargs": seen.kwargs}
            steps = [Operation(Kind.FLOAT, "", _names_in((seen.args, seen.kwargs)), "", settings)]
        self.append(node, steps, grid)

    def append(self, node: fx.Node, steps: list[Operation], moved: Grid | None) -> None:
        """Chain ``steps``; elements that only moved are back on their grid."""
        layer = self.layer(node)
        before: str | None = None
        for number, step in enumerate(steps):
            is_last = number == len(steps) - 1
            keeps = step.kind in (Kind.MAX_POOL, Kind.FLATTEN)
            inputs = step.inputs if before is None else (before,)
            grid = self.values[inputs[0]].grid if keeps else None
            suffix = "" if is_last and (moved is None or keeps) else f"_{number}"
            name = self.new_value(node, grid, suffix)
            self.operations.append(step.changed(layer=layer, inputs=inputs, output=name))
            before = name
        if moved is not None and node not in self.names:
            assert before is not None
            name = self.new_value(node, moved)
            self.operations.append(Operation(Kind.QUANTIZE, layer, (before,), name))

    def grid_of(self, seen: Node) -> Grid | None:
        first = seen.args[0]
        return self.values[first.name].grid if isinstance(first, Reference) else None

    def read_mark(self, node: Any) -> None:
        marked = self.found[str(node.args[3])]
        source = self.names[node.args[0]]
        grid, reason = _grid(marked)
        if grid is None:
            self.kept.append(FloatPart(marked.name, reason))
            args = (Reference(source), *(self.argument(each) for each in node.args[1:]))
            settings = {"target": MARK, "args": args, "kwargs": {}}
            name = self.new_value(node)
            step = Operation(Kind.FLOAT, self.layer(node), (source,), name, settings)
        else:
            name = self.new_value(node, grid)
            settings = {"quantizer": marked.name}
            step = Operation(Kind.QUANTIZE, self.layer(node), (source,), name, settings)
        self.operations.append(step)

    def computed(self, node: Any) -> Any:
        """The value of a call of constants; integers of a weight are kept beside it."""
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), self.constants.__getitem__)
        if node.target is not MARK:
            return node.target(*args, **kwargs)
        marked = self.found[str(node.args[3])]
        value = args[0].detach().clone()
        self.weights[id(value)] = _parameter(marked)
        return value

    def argument(self, given: Any) -> Any:
        def replaced(node: Any) -> Any:
            if node in self.constants:
                return self.constants[node]
            if node in self.names:
                return Reference(self.names[node])
            made = node.meta.get("val")
            if isinstance(made, torch.SymInt):
                source = self.names.get(node.args[0]) if _is_batch(node) else None
                return _Open(_known(made)) if source is None else BatchOf(source)
            raise ValueError(f"{self.layer(node) or 'the model'}: {node.target} is not a tensor.")

        return fx.node.map_arg(given, replaced)

    def layer(self, node: fx.Node) -> str:
        stack = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
        parts = (stack[-1] if stack else "").split(".")[1:]  # without the name in _Inside
        ends = [index for index, part in enumerate(parts) if part in _OF_QUANTIZERS]
        return ".".join(parts[: ends[0]] if ends else parts)


class _Open(int):
    """A size that follows from that of the batch; the number is that of the example."""


def _without_batch(target: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A shape whose one open size is left to torch."""
    if target is not torch.ops.aten.reshape.default or -1 in args[1]:
        return args
    sizes = [-1 if isinstance(size, (BatchOf, _Open)) else size for size in args[1]]
    return (args[0], sizes) if sizes.count(-1) == 1 else args


def _is_batch(node: Any) -> bool:
    return bool(node.target is torch.ops.aten.sym_size.int and node.args[1] == 0)


def _known(size: Any) -> int:
    """A size for the example."""
    hint: Any = size.node.hint if isinstance(size, torch.SymInt) else size
    return int(hint)


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple(_known(size) for size in shape)


def _names_in(given: Any) -> tuple[str, ...]:
    found: list[str] = []

    def look(each: Any) -> None:
        if isinstance(each, (Reference, BatchOf)):
            found.append(each.name)
        elif isinstance(each, (tuple, list)):
            for item in each:
                look(item)
        elif isinstance(each, dict):
            look(list(each.values()))

    look(given)
    return tuple(dict.fromkeys(found))


def _grid(marked: Marked) -> tuple[Grid | None, str]:
    scale: Any = marked.scale.reshape(-1)
    zero_point: Any = marked.zero_point.reshape(-1)
    assert marked.format is not None
    if scale.numel() != 1 or zero_point.numel() != 1:
        return None, "an activation has one scale, this one has several"
    if not bool(scale > 0) or not bool(torch.isfinite(scale)):
        return None, f"its scale is {scale.item()}"
    if float(zero_point) != round(float(zero_point)):
        return None, "its zero point is no integer"
    return Grid(marked.format, scale.detach().float().reshape(()), round(float(zero_point))), ""


def _parameter(marked: Marked) -> IntParameter:
    values, format = marked.values, marked.format
    assert values is not None and format is not None
    scale = marked.scale.double()
    integers = torch.round(values.double() / scale + marked.zero_point.double())
    name = marked.name.replace("_quant", "")
    return IntParameter(
        name, integers.to(torch.int32), format, marked.scale, marked.zero_point, PerTensor()
    )
