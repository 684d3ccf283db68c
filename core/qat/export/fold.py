"""The final form of a program: folded norms and clamps, integer biases.

The integers of weights stay. A batch norm goes into the scale of each channel and into the bias; a
negative factor mirrors the integers of its channel.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from qat.export.program import (
    BatchOf,
    Grid,
    IntParameter,
    Kind,
    Operation,
    Program,
    Reference,
    weight_scales,
)

_LAYERS = (Kind.CONVOLUTION, Kind.LINEAR)
_LARGEST_BIAS = 2**31 - 1


def in_final_form(program: Program) -> tuple[Program, list[str]]:
    """Fold batch norms and clamps, bring biases to integers, leave out what nothing reads.

    Returns:
        The program, and notes: which batch norms stay and why.
    """
    program, notes = fold_affines(_without_dead(program))
    program = absorb_clamps(quantize_before_flattening(program))
    program = merge_quantizations(program)
    operations = tuple(_with_integer_bias(program, each) for each in program.operations)
    return replace(program, operations=operations), notes


def fold_affines(program: Program) -> tuple[Program, list[str]]:
    """Take each batch norm into the layer in front of it, where that is read by nothing else."""
    makers, readers = program.makers(), program.readers()
    folded: dict[str, Operation] = {}  # by the value that the batch norm gave
    gone: set[str] = set()
    notes: list[str] = []
    for operation in program.operations:
        if operation.kind is not Kind.AFFINE:
            continue
        source = operation.inputs[0]
        maker = makers.get(source)
        reason = ""
        if maker is None or maker.kind not in _LAYERS:
            reason = "no convolution or linear layer is in front of it"
        elif len(readers[source]) > 1 or source in program.outputs:
            reason = f"what {maker.layer} gives is read by others too"
        if maker is None or reason:
            notes.append(f"{operation.layer}: the batch norm stays, {reason}")
            continue
        factor, shift = operation.settings["factor"], operation.settings["shift"]
        folded[operation.output] = _folded(maker, factor, shift).changed(output=operation.output)
        gone.add(source)
    return _with(program, folded, gone), notes


def _folded(layer: Operation, factor: Tensor, shift: Tensor) -> Operation:
    bias = shift if layer.bias is None else layer.bias * factor + shift
    weight = layer.weight
    axis = 1 if layer.settings.get("transposed") else 0
    if isinstance(weight, Tensor):
        shape = [1] * weight.dim()
        shape[axis] = -1
        if axis == 1 and layer.settings["groups"] > 1:
            raise ValueError(f"{layer.layer}: a batch norm behind grouped transposed convolution")
        scaled = (weight.double() * factor.reshape(shape)).to(weight.dtype)
        return layer.changed(weight=scaled, bias=bias)
    assert weight is not None
    return layer.changed(weight=_scaled(weight, factor, axis), bias=bias)


def _scaled(weight: IntParameter, factor: Tensor, axis: int) -> IntParameter:
    channels = factor.numel()
    shape = [1] * weight.integers.dim()
    shape[axis] = -1
    scale = weight_scales(weight, channels).double() * factor.abs()
    smallest = torch.finfo(torch.float32).tiny
    is_zero = scale < smallest
    if weight.format.is_binary:  # there is no 0
        scale, is_zero = scale.clamp(min=smallest), torch.zeros_like(is_zero)
    # Then every integer is the zero point, on whatever scale.
    scale = torch.where(is_zero, torch.ones_like(scale), scale)
    zero = weight.zero_point.reshape(-1).double().expand(channels).clone()
    integers = torch.where(is_zero.reshape(shape), zero.reshape(shape), weight.integers.double())
    ends = weight.format.min_value + weight.format.max_value
    is_mirrored = (factor < 0).reshape(shape)
    lowest = torch.where(is_mirrored, integers, torch.zeros_like(integers)).min()
    middle = 0 if -float(lowest) <= weight.format.max_value and not bool(zero.any()) else ends
    integers = torch.where(is_mirrored, middle - integers, integers)
    zero = torch.where(factor < 0, middle - zero, zero)
    return replace(
        weight,
        integers=integers.to(torch.int32),
        scale=scale.float().reshape(shape),
        zero_point=zero.float().reshape(shape) if bool(zero.any()) else torch.zeros(()),
    )


def absorb_clamps(program: Program) -> Program:
    """Take ReLU and clip into the quantization behind them, where nothing else reads them.

    Rounding keeps the order of numbers, so that the clamped number is rounded to the rounded one,
    clamped to the integers that the ends are rounded to.
    """
    makers, readers = program.makers(), program.readers()
    changed: dict[str, Operation] = {}
    gone: set[str] = set()
    for operation in program.operations:
        grid = program.values[operation.output].grid
        if operation.kind is not Kind.QUANTIZE or grid is None or grid.format.is_binary:
            continue
        low, high = grid.format.min_value, grid.format.max_value
        source = operation.inputs[0]
        while True:
            clamp = makers.get(source)
            is_clamp = clamp is not None and clamp.kind in (Kind.RELU, Kind.CLIP)
            if not is_clamp or len(readers[source]) > 1 or source in program.outputs:
                break
            assert clamp is not None
            low = max(low, _nearest(clamp.settings.get("low", 0.0), grid))
            high = min(high, _nearest(clamp.settings.get("high"), grid))
            gone.add(source)
            source = clamp.inputs[0]
        settings = {**operation.settings, "low": low, "high": high}
        changed[operation.output] = operation.changed(inputs=(source,), settings=settings)
    return _with(program, changed, gone)


def _nearest(end: float | None, grid: Grid) -> int:
    if end is None:
        return grid.format.max_value
    steps = round(Fraction(end) / Fraction(float(grid.scale)))
    return min(max(steps + grid.zero_point, grid.format.min_value), grid.format.max_value)


def quantize_before_flattening(program: Program) -> Program:
    """Bring reals onto their grid before they are flattened: runtimes want that behind a pool."""
    makers, readers = program.makers(), program.readers()
    changed: dict[str, Operation] = {}
    values = dict(program.values)
    for operation in program.operations:
        flat = makers.get(operation.inputs[0]) if operation.kind is Kind.QUANTIZE else None
        if flat is None or flat.kind is not Kind.FLATTEN or len(readers[flat.output]) > 1:
            continue
        source, grid = flat.inputs[0], values[operation.output].grid
        if values[source].grid is not None or flat.output in program.outputs:
            continue
        early = f"{operation.output}_early"
        values[early] = replace(values[source], name=early, grid=grid)
        changed[flat.output] = operation.changed(inputs=(source,), output=early)
        changed[operation.output] = flat.changed(inputs=(early,), output=operation.output)
        del values[flat.output]
    return _with(replace(program, values=values), changed, set())


def merge_quantizations(program: Program) -> Program:
    """Bring a value onto a grid once where several do the same: runtimes want one for a tensor."""
    first: dict[Any, str] = {}
    same: dict[str, str] = {}
    operations = []
    for operation in program.operations:
        inputs = tuple(same.get(name, name) for name in operation.inputs)
        operation = operation.changed(inputs=inputs)
        grid = program.values[operation.output].grid
        if operation.kind is Kind.QUANTIZE and grid is not None:
            key = (inputs, grid.format, float(grid.scale), grid.zero_point, program.ends(operation))
            kept = first.setdefault(key, operation.output)
            if kept != operation.output and operation.output not in program.outputs:
                same[operation.output] = kept
                continue
        if operation.kind is Kind.FLOAT:
            operation = operation.changed(settings=_renamed(operation.settings, same))
        operations.append(operation)
    values = {name: value for name, value in program.values.items() if name not in same}
    return replace(program, operations=tuple(operations), values=values)


def _renamed(given: Any, same: dict[str, str]) -> Any:
    """Arguments that read the values that were kept."""
    if isinstance(given, Reference):
        return Reference(same.get(given.name, given.name))
    if isinstance(given, BatchOf):
        return BatchOf(same.get(given.name, given.name))
    if isinstance(given, (tuple, list)):
        return type(given)(_renamed(each, same) for each in given)
    if isinstance(given, dict):
        return {name: _renamed(each, same) for name, each in given.items()}
    return given


def _with(program: Program, changed: dict[str, Operation], gone: set[str]) -> Program:
    operations = tuple(
        changed.get(each.output, each) for each in program.operations if each.output not in gone
    )
    values = {name: value for name, value in program.values.items() if name not in gone}
    return replace(program, operations=operations, values=values)


def _with_integer_bias(program: Program, operation: Operation) -> Operation:
    if not program.computes_integers(operation) or operation.bias is None:
        return operation
    grid = program.values[operation.inputs[0]].grid
    assert grid is not None and isinstance(operation.weight, IntParameter)
    shift = _spare_bits(operation.weight, grid)
    scale = weight_scales(operation.weight, operation.bias.numel()).double() * grid.scale.double()
    steps = operation.bias * 2**shift / scale
    integers = torch.round(steps)
    readers = [each for each in program.operations if operation.output in each.inputs]
    if any(_gives_signs(program, each) for each in readers):
        # The integer sums are multiples of 2**shift. Each has to keep its sign, and what is not 0
        # with the real bias must not become it: floats do not sum up to 0 exactly.
        lowest = -torch.ceil(-steps / 2**shift) * 2**shift
        highest = lowest + 2**shift - 1
        integers = torch.maximum(integers, torch.where(lowest == steps, lowest, lowest + 1))
        integers = torch.minimum(integers, torch.maximum(highest, lowest))
    if not bool((integers.abs() <= _LARGEST_BIAS).all()):
        return operation  # a bias that is no int32 stays real
    return operation.changed(bias_integers=integers.to(torch.int64), shift=shift)


def _gives_signs(program: Program, operation: Operation) -> bool:
    grid = program.values[operation.output].grid
    return operation.kind is Kind.QUANTIZE and grid is not None and grid.format.is_binary


def _spare_bits(weight: IntParameter, grid: Grid) -> int:
    """How far weights can be shifted up in int8, with a bias that is finer by as much.

    Sums of two products stay in int16, in which processors without VNNI add them.
    """
    if bool(weight.zero_point.any()):
        return 0
    low, high = int(weight.integers.min()), int(weight.integers.max())
    reach = max(-low, high, 1) * (grid.format.max_value - grid.format.min_value)
    shift = 0
    while low << shift + 1 >= -128 and high << shift + 1 <= 127 and reach << shift + 2 <= 32767:
        shift += 1
        if shift == 6:
            break
    return shift


def _without_dead(program: Program) -> Program:
    needed = set(program.outputs)
    kept: list[Operation] = []
    for operation in reversed(program.operations):
        if operation.output in needed:
            kept.append(operation)
            needed.update(operation.inputs)
    values = {n: v for n, v in program.values.items() if n in needed or n in program.inputs}
    return replace(program, operations=tuple(reversed(kept)), values=values)
