"""The final form of a program: no batch norms behind layers, biases in integers.

The integers of weights stay. A batch norm goes into the scale of each channel and into the bias; a
negative factor mirrors the integers of its channel.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from qat.export.program import IntParameter, Kind, Operation, Program, weight_scales

_LAYERS = (Kind.CONVOLUTION, Kind.LINEAR)
_LARGEST_BIAS = 2**31 - 1


def in_final_form(program: Program) -> tuple[Program, list[str]]:
    """Fold batch norms, bring biases to integers, leave out what nothing reads.

    Returns:
        The program, and notes: which batch norms stay and why.
    """
    program, notes = fold_affines(_without_dead(program))
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
    operations = tuple(
        folded.get(each.output, each) for each in program.operations if each.output not in gone
    )
    values = {name: value for name, value in program.values.items() if name not in gone}
    return replace(program, operations=operations, values=values), notes


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


def _with_integer_bias(program: Program, operation: Operation) -> Operation:
    if not program.computes_integers(operation) or operation.bias is None:
        return operation
    grid = program.values[operation.inputs[0]].grid
    assert grid is not None and isinstance(operation.weight, IntParameter)
    scale = weight_scales(operation.weight, operation.bias.numel()).double() * grid.scale.double()
    integers = torch.round(operation.bias / scale)
    if not bool((integers.abs() <= _LARGEST_BIAS).all()):
        return operation  # a bias that is no int32 stays real
    return operation.changed(bias_integers=integers.to(torch.int64))


def _without_dead(program: Program) -> Program:
    needed = set(program.outputs)
    kept: list[Operation] = []
    for operation in reversed(program.operations):
        if operation.output in needed:
            kept.append(operation)
            needed.update(operation.inputs)
    values = {n: v for n, v in program.values.items() if n in needed or n in program.inputs}
    return replace(program, operations=tuple(reversed(kept)), values=values)
