"""The reference: a program run on integers, from the program alone.

Sums are sums of integers; a real number that comes onto a grid is known exactly until it is there.
Float operations, and what they read, are float32 as torch computes it; a float32 number comes onto
a grid by a division in float32, as in the library and in the runtimes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from qat.export import exact
from qat.export.exact import Exact
from qat.export.program import (
    Grid,
    IntParameter,
    Kind,
    Operation,
    Program,
    filled,
    weight_scales,
)

Held = Tensor | Exact
Visit = Callable[[Operation, Tensor, Exact | Tensor], Tensor]

_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGES = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@torch.no_grad()
def run(
    program: Program, inputs: Mapping[str, Tensor], visit: Visit | None = None
) -> dict[str, Tensor]:
    """Every value of the program.

    Args:
        program: as :func:`qat.export.lowering.lower` gives it.
        inputs: float32, by the names of ``program.inputs``.
        visit: called with every operation that brings reals onto a grid, the integers, and the
            reals that they were made of; what it returns is what later operations read. So one can
            look at each layer by itself, fed with what another program computed.
    Returns:
        By name: int64 of a value with a grid, the integers with the zero point in them; else
        float32.
    """
    machine = _Machine(program, dict(inputs), visit)
    for operation in program.operations:
        machine.step(operation)
    return {
        name: held if program.values[name].grid is not None else _single(held)
        for name, held in machine.held.items()
    }


def _single(held: Held) -> Tensor:
    return held.numbers.float() if isinstance(held, Exact) else held


class _Machine:
    def __init__(self, program: Program, held: dict[str, Any], visit: Visit | None) -> None:
        self.program, self.held, self.visit = program, held, visit

    def step(self, operation: Operation) -> None:
        if operation.kind is Kind.QUANTIZE:
            self.held[operation.output] = self.quantized(operation)
        elif operation.kind is Kind.FLOAT:
            self.held[operation.output] = self.computed(operation)
        elif operation.kind in (Kind.CONVOLUTION, Kind.LINEAR):
            self.held[operation.output] = self.layer(operation)
        else:
            self.held[operation.output] = _STEPS[operation.kind](self, operation)

    def grid(self, name: str) -> Grid | None:
        return self.program.values[name].grid

    def reals(self, name: str) -> Held:
        """An input as real numbers: exact where it is known so."""
        held, grid = self.held[name], self.grid(name)
        return held if grid is None else exact.of_integers(held, grid)

    def single(self, name: str) -> Tensor:
        """An input in float32."""
        held, grid = self.held[name], self.grid(name)
        if grid is None:
            return _single(held)
        return (held - grid.zero_point).float() * grid.scale

    def quantized(self, operation: Operation) -> Tensor:
        grid, x = self.grid(operation.output), self.reals(operation.inputs[0])
        assert grid is not None
        ends = self.program.ends(operation)
        q = x.on_grid(grid, ends) if isinstance(x, Exact) else _divided(x, grid, ends)
        if self.visit is None:
            return q
        return self.visit(operation, q, x)

    def computed(self, operation: Operation) -> Tensor:
        settings = operation.settings
        kwargs = filled(settings["kwargs"], self.single)
        return settings["target"](*filled(settings["args"], self.single), **kwargs)

    def layer(self, operation: Operation) -> Held:
        weight, name = operation.weight, operation.inputs[0]
        grid = self.grid(name)
        if not isinstance(weight, IntParameter) or grid is None:
            value = weight.value if isinstance(weight, IntParameter) else weight
            assert value is not None
            bias = None if operation.bias is None else operation.bias.float()
            return _function(operation)(self.single(name), value.float(), bias)
        x = (self.held[name] - grid.zero_point).double()
        w = weight.integers.double() - weight.zero_point.double()
        sums = _function(operation)(x, w, None).to(torch.int64)
        axis = 1 if operation.kind is Kind.CONVOLUTION else sums.dim() - 1
        scales = weight_scales(weight, sums.shape[axis])
        step = Fraction(float(grid.scale)) / 2**operation.shift
        sums = sums << operation.shift
        factors = [Fraction(float(scale)) * step for scale in scales]
        if operation.bias_integers is not None:
            shape = [1] * sums.dim()
            shape[axis] = -1
            sums = sums + operation.bias_integers.reshape(shape)
        elif operation.bias is not None:
            shifts = [Fraction(float(each)) for each in operation.bias]
            return exact.scaled(sums, factors, axis, shifts)
        return exact.scaled(sums, factors, axis)


def _divided(x: Tensor, grid: Grid, ends: tuple[int, int]) -> Tensor:
    """float32 numbers on a grid, as quantizers do it."""
    if grid.format.is_binary:
        return torch.where(x >= 0, 1, -1)
    q = torch.round(x / grid.scale) + grid.zero_point
    return torch.clamp(q, *ends).to(torch.int64)


def _function(operation: Operation) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    if operation.kind is Kind.LINEAR:
        return F.linear
    settings = dict(operation.settings)
    dims = len(settings["stride"])
    if settings.pop("transposed", False):
        order = ("stride", "padding", "output_padding", "groups", "dilation")
        function: Any = _TRANSPOSED[dims]
    else:
        order = ("stride", "padding", "dilation", "groups")  # type: ignore[assignment]
        function = _CONVOLUTIONS[dims]
    more = [settings[name] for name in order]
    return lambda x, weight, bias: function(x, weight, bias, *more)


def _clamped(low: float | None, high: float | None) -> Callable[[_Machine, Operation], Held]:
    def step(machine: _Machine, operation: Operation) -> Held:
        ends = operation.settings.get("low", low), operation.settings.get("high", high)
        x = machine.reals(operation.inputs[0])
        return exact.clamped(x, *ends) if isinstance(x, Exact) else x.clamp(*ends)

    return step


def _added(machine: _Machine, operation: Operation) -> Held:
    x, y = (machine.reals(name) for name in operation.inputs)
    if isinstance(x, Exact) and isinstance(y, Exact):
        return exact.added(x, y)
    return machine.single(operation.inputs[0]) + machine.single(operation.inputs[1])


def _largest(machine: _Machine, operation: Operation) -> Held:
    settings, name = operation.settings, operation.inputs[0]
    held = machine.held[name]
    pool: Any = _POOLS[len(settings["kernel"])]
    order = ("kernel", "stride", "padding", "dilation", "ceil")
    more = [settings[each] for each in order]
    if isinstance(held, Exact):
        return exact.chosen(held, *pool(held.numbers, *more, return_indices=True))
    if machine.grid(name) is None:
        return pool(held, *more)
    return pool(held.double(), *more).to(torch.int64)


def _average(machine: _Machine, operation: Operation) -> Held:
    name, settings = operation.inputs[0], operation.settings
    held, grid = machine.held[name], machine.grid(name)
    average: Any = _AVERAGES[len(settings["kernel"])]
    order = ("kernel", "stride", "padding", "ceil", "count_padding")
    if isinstance(held, Exact):
        return _averaged_exactly(held, average, settings, order)
    if grid is None:
        return average(held, *[settings[each] for each in order])
    q = (held - grid.zero_point).double()
    sizes = average(q[:1], *[settings[each] for each in order]).shape[2:]
    sums = _sums(q, settings, sizes, padded_with=0.0).to(torch.int64)
    ones = torch.ones_like(q[:1, :1])
    counts = _sums(ones, settings, sizes, padded_with=float(settings["count_padding"]))
    return _quotient(sums, Fraction(float(grid.scale)), counts.to(torch.int64))


def _averaged_exactly(x: Exact, average: Any, settings: Any, order: Any) -> Exact:
    numbers = average(x.numbers, *[settings[each] for each in order])
    kernel, stride, padding = (settings[name] for name in ("kernel", "stride", "padding"))
    ones = torch.ones_like(x.numbers[:1, :1])
    counts = _sums(ones, settings, numbers.shape[2:], float(settings["count_padding"]))
    sizes = x.numbers.shape[2:]

    def at(index: exact.Index) -> Fraction:
        starts = [
            place * step - before
            for place, step, before in zip(index[2:], stride, padding, strict=True)
        ]
        ends = zip(starts, kernel, sizes, strict=True)
        ranges = [range(max(0, a), min(a + reach, size)) for a, reach, size in ends]
        total = sum((x.at((*index[:2], *place)) for place in product(*ranges)), Fraction(0))
        return total / int(counts[0, 0][index[2:]])

    return Exact(numbers, at)


def _sums(x: Tensor, settings: Mapping[str, Any], sizes: Any, padded_with: float) -> Tensor:
    """Sums over the windows of a pool; what a window reaches beyond its padding counts nothing."""
    kernel, stride, padding = (settings[name] for name in ("kernel", "stride", "padding"))
    inside = [p for each in reversed(padding) for p in (each, each)]
    x = F.pad(x, inside, value=padded_with)
    beyond = [
        max(0, (size - 1) * step + reach - have)
        for size, step, reach, have in zip(sizes, stride, kernel, x.shape[2:], strict=True)
    ]
    x = F.pad(x, [p for each in reversed(beyond) for p in (0, each)])
    ones = torch.ones(1, 1, *kernel, dtype=x.dtype)
    summed = _CONVOLUTIONS[len(kernel)](x.flatten(0, 1).unsqueeze(1), ones, None, stride)
    return torch.round(summed).unflatten(0, x.shape[:2]).squeeze(2)[..., : sizes[-1]]


def _average_of_all(machine: _Machine, operation: Operation) -> Held:
    name = operation.inputs[0]
    held, grid = machine.held[name], machine.grid(name)
    if isinstance(held, Exact):
        return exact.averaged_over_all(held)
    if grid is None:
        return held.mean(tuple(range(2, held.dim())), keepdim=True)
    dims = tuple(range(2, held.dim()))
    sums = (held - grid.zero_point).sum(dims, keepdim=True)
    counts = torch.full([1, 1, *[1] * len(dims)], held[0, 0].numel() if held.numel() else 1)
    return _quotient(sums, Fraction(float(grid.scale)), counts)


def _quotient(sums: Tensor, scale: Fraction, counts: Tensor) -> Exact:
    def at(index: exact.Index) -> Fraction:
        place = tuple(
            0 if size == 1 else each for size, each in zip(counts.shape, index, strict=True)
        )
        return int(sums[index]) * scale / int(counts[place])

    return Exact(sums.double() * float(scale) / counts, at)


def _flat(machine: _Machine, operation: Operation) -> Held:
    held, start = machine.held[operation.inputs[0]], operation.settings["start"]
    return exact.flattened(held, start) if isinstance(held, Exact) else held.flatten(start)


def _joined(machine: _Machine, operation: Operation) -> Held:
    axis = operation.settings["axis"]
    parts = [machine.reals(name) for name in operation.inputs]
    if all(isinstance(part, Exact) for part in parts):
        return exact.joined(parts, axis)  # type: ignore[arg-type]
    return torch.cat([machine.single(name) for name in operation.inputs], axis)


def _affine(machine: _Machine, operation: Operation) -> Held:
    factor, shift = operation.settings["factor"], operation.settings["shift"]
    x = machine.reals(operation.inputs[0])
    if isinstance(x, Exact):
        factors, shifts = ([Fraction(float(each)) for each in held] for held in (factor, shift))
        return exact.affine(x, factors, shifts)
    shape = [1, -1, *[1] * (x.dim() - 2)]
    return x * factor.float().reshape(shape) + shift.float().reshape(shape)


_STEPS: Mapping[Kind, Callable[[_Machine, Operation], Held]] = {
    Kind.RELU: _clamped(0.0, None),
    Kind.CLIP: _clamped(None, None),
    Kind.ADD: _added,
    Kind.MAX_POOL: _largest,
    Kind.AVERAGE_POOL: _average,
    Kind.GLOBAL_POOL: _average_of_all,
    Kind.FLATTEN: _flat,
    Kind.CONCATENATE: _joined,
    Kind.AFFINE: _affine,
}
