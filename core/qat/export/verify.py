"""Proofs that an exported file is the network that was trained.

0. The parameters in the file are those of the program, bit for bit.
1. The reference, run with the numbers of the file, gives each layer's integers.
2. The runtime gives them too, with and without its fusions, layer by layer: each is fed with what
   the runtime itself computed before.
3. So does torch's own evaluation of the model.

A number in the middle between two integers is a tie: which way it goes depends on the last bit of a
float. A difference beside a tie is counted apart, any other one is a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qat.export import onnx_run
from qat.export.exact import Exact, distance_to_tie
from qat.export.integers import run
from qat.export.onnx_file import Written
from qat.export.program import Grid, IntParameter, Kind, Operation, Program, weight_scales
from qat.proxy import ActQuantProxyFromInjector
from qat.tensor import QuantTensor

PARAMETERS, REFERENCE, RUNTIME, TORCH = range(4)
#: Distances from a tie, in units in the last place of the number of steps: of a fused operator,
#: which multiplies an exact sum once, and of float sums of many products.
FUSED_ULP, FLOAT_ULP = 2.0, 256.0
#: And in steps, where float functions or folded batch norms are in front.
FLOAT_STEPS = 2e-3


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        level: 0 to 3, see the module docstring.
        layer: dotted name in the model.
        what: that was compared.
        compared, differing: how many numbers.
        at_ties: of those that differ, how many are beside a tie.
        most: the largest difference in steps.
    """

    level: int
    layer: str
    what: str
    compared: int
    differing: int
    at_ties: int = 0
    most: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing differs but beside ties, and there by one step."""
        return self.differing == self.at_ties and self.most <= 1


def verify_parameters(program: Program, written: Written) -> list[Row]:
    """Level 0: a row for each layer and grid."""
    rows = []
    found = onnx_run.parameters(written.path, program)
    for operation in program.operations:
        if operation.output not in found:
            continue
        have, layer = found[operation.output], operation.layer
        grid = program.values[operation.output].grid
        wanted = _wanted(program, operation) if operation.weight is not None else _of_grid(grid)
        for name, numbers in wanted.items():
            there = np.asarray(have.get(name, np.nan))
            if name in ("weight", "zero_point") and operation.weight is not None:
                there = _moved_back(program, operation, there, name)
            differing = _differing(np.asarray(numbers), there)
            rows.append(Row(PARAMETERS, layer, name, np.asarray(numbers).size, differing))
    return rows


def _wanted(program: Program, operation: Operation) -> dict[str, Any]:
    weight = operation.weight
    if not isinstance(weight, IntParameter):
        assert weight is not None
        return {"weight": weight.float().numpy()}
    channels = weight.integers.shape[1 if operation.settings.get("transposed") else 0]
    found: dict[str, Any] = {
        "weight": weight.integers.numpy().astype(np.int64),
        "scale": weight_scales(weight, channels).numpy() / np.float32(2**operation.shift),
    }
    if bool(weight.zero_point.any()):
        found["zero_point"] = (
            weight.zero_point.reshape(-1).expand(channels).numpy().astype(np.int64)
        )
    if operation.bias_integers is not None:
        grid = program.values[operation.inputs[0]].grid
        assert grid is not None
        found["bias"] = operation.bias_integers.numpy()
        found["bias_scale"] = found["scale"] * grid.scale.numpy()
    return found


def _of_grid(grid: Grid | None) -> dict[str, Any]:
    assert grid is not None
    return {"scale": grid.scale.numpy(), "zero_point": grid.zero_point}


def _moved_back(program: Program, operation: Operation, there: Any, name: str) -> Any:
    """Integers as the program has them: unsigned ones were moved, matrices transposed."""
    dims = len(program.values[operation.inputs[0]].shape)
    if name == "weight" and operation.kind is Kind.LINEAR and dims != 2:
        there = there.T
    weight = operation.weight
    if not isinstance(weight, IntParameter) or there.dtype.kind == "f":
        return there
    there = there.astype(np.int64)
    is_moved = not weight.format.signed and weight.format.max_value > 127
    return there + 128 if is_moved else there


def _differing(wanted: Any, there: Any) -> int:
    if wanted.shape != there.shape:
        return int(wanted.size)
    return int((wanted != there).sum())


def with_parameters(program: Program, written: Written) -> Program:
    """The program with the numbers that the file has in the place of its own."""
    found = onnx_run.parameters(written.path, program)
    operations, values = [], dict(program.values)
    for operation in program.operations:
        have = found.get(operation.output)
        if have is not None and isinstance(operation.weight, IntParameter):
            operation = _with_weight(program, operation, have)
        elif have is not None and operation.weight is None:
            value = values[operation.output]
            assert value.grid is not None
            scale = torch.from_numpy(np.array(have["scale"]))
            grid = replace(value.grid, scale=scale, zero_point=have["zero_point"])
            values[operation.output] = replace(value, grid=grid)
        operations.append(operation)
    return replace(program, operations=tuple(operations), values=values)


def _with_weight(program: Program, operation: Operation, have: Mapping[str, Any]) -> Operation:
    weight = operation.weight
    assert isinstance(weight, IntParameter)
    axis = 1 if operation.settings.get("transposed") else 0
    shape = [1] * weight.integers.dim()
    shape[axis] = -1
    integers = torch.from_numpy(_moved_back(program, operation, have["weight"], "weight").copy())
    zeros = have.get("zero_point")
    if zeros is not None:
        moved = _moved_back(program, operation, zeros, "zero_point")
        zero_point = torch.from_numpy(moved).float().reshape(shape)
    else:
        zero_point = torch.zeros(())
    scale = torch.from_numpy(np.array(have["scale"])).reshape(shape) * 2**operation.shift
    changed = replace(weight, integers=integers, scale=scale, zero_point=zero_point)
    if operation.bias_integers is None:
        return operation.changed(weight=changed)
    bias = torch.from_numpy(have["bias"].astype(np.int64))
    return operation.changed(weight=changed, bias_integers=bias)


def verify_reference(program: Program, written: Written, images: Tensor) -> list[Row]:
    """Level 1: the file's numbers in the reference, each layer fed with the program's integers."""
    wanted = run(program, {program.inputs[0]: images})
    return _compared(with_parameters(program, written), images, wanted, REFERENCE, 0.0, 0.0)


def verify_runtime(
    program: Program, written: Written, images: Tensor, optimized: bool
) -> list[Row]:
    """Level 2: onnxruntime, each layer fed with the runtime's own integers."""
    integers, _ = onnx_run.run_onnx(written, program, images, optimized)
    ulp = FUSED_ULP if optimized else FLOAT_ULP
    what = "onnxruntime, fused" if optimized else "onnxruntime, plain"
    return _compared(program, images, integers, RUNTIME, ulp, FLOAT_STEPS, what)


def verify_torch(program: Program, model: nn.Module, images: Tensor) -> list[Row]:
    """Level 3: the model's evaluation in torch, each layer fed with torch's own integers.

    Against the program with the biases as torch has them; see :func:`moved_by_biases`.
    """
    integers = torch_integers(program, model, images)
    ours = with_real_biases(program)
    return _compared(ours, images, integers, TORCH, FLOAT_ULP, FLOAT_STEPS)


def with_real_biases(program: Program) -> Program:
    """The program before its biases came to steps of the accumulator."""
    operations = tuple(each.changed(bias_integers=None, shift=0) for each in program.operations)
    return replace(program, operations=operations)


def moved_by_biases(program: Program, images: Tensor) -> tuple[int, int]:
    """How many integers are others since biases are integers too, and how many there are.

    A bias moves by half a step of the accumulator at most, which is a small part of a step of the
    output: few integers move, by one step.
    """
    before = run(with_real_biases(program), {program.inputs[0]: images})
    rows = _compared(program, images, before, TORCH, 0.0, 0.0)
    return sum(row.differing for row in rows), sum(row.compared for row in rows)


def _compared(
    program: Program,
    images: Tensor,
    theirs: Mapping[str, Tensor],
    level: int,
    ulp: float,
    float_steps: float,
    what: str = "integers",
) -> list[Row]:
    makers = program.makers()
    rows = []

    def visit(operation: Operation, ours: Tensor, reals: Exact | Tensor) -> Tensor:
        other = theirs.get(operation.output)
        if other is None:
            return ours
        other = other.reshape(ours.shape)  # a program flattens behind a quantization
        differs = other != ours
        count, at_ties, most = int(differs.sum()), 0, 0
        if count:
            grid = program.values[operation.output].grid
            assert grid is not None
            numbers = reals.numbers if isinstance(reals, Exact) else reals.double()
            steps = numbers / float(grid.scale)
            is_one = _is_one_operation(program, makers.get(operation.inputs[0]))
            nearest = ulp if is_one or ulp == 0 else FLOAT_ULP
            near = nearest * _ulp(steps, grid)
            if not isinstance(reals, Exact):
                near = near + float_steps
            distance = steps.abs() if grid.format.is_binary else distance_to_tie(steps)
            most = 1 if grid.format.is_binary else int((other - ours).abs().max())
            at_ties = int((distance <= near)[differs].sum())
        rows.append(Row(level, operation.layer, what, ours.numel(), count, at_ties, most))
        return other

    run(program, {program.inputs[0]: images}, visit)
    return rows


def _is_one_operation(program: Program, maker: Operation | None) -> bool:
    """Whether nothing but one operation lies between the grids: a runtime can fuse that."""
    if maker is None or maker.kind is Kind.AFFINE:
        return False
    return all(program.values[name].grid is not None for name in maker.inputs)


def _ulp(steps: Tensor, grid: Grid) -> Tensor:
    """Distance between float32 numbers as large as the sums are, which may cancel each other."""
    least = grid.format.max_value - grid.format.min_value
    single = steps.abs().clamp(min=least).float()
    return (torch.nextafter(single, torch.full_like(single, torch.inf)) - single).double()


@torch.no_grad()
def torch_integers(program: Program, model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The integers that the model's quantizers give in evaluation, by value of the program."""
    given: dict[str, list[Tensor]] = {}
    wanted: dict[str, list[str]] = {}
    for operation in program.operations:
        if "quantizer" in operation.settings:
            wanted.setdefault(operation.settings["quantizer"], []).append(operation.output)

    def keep(name: str, made: Any) -> None:
        value = made.value if isinstance(made, QuantTensor) else made
        given.setdefault(name, []).append(value.detach().clone())

    hooks = [
        module.register_forward_hook(lambda _, __, made, name=name: keep(name, made))
        for name, module in model.named_modules()
        if isinstance(module, ActQuantProxyFromInjector) and name in wanted
    ]
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    found = {}
    for name, outputs in wanted.items():
        for output, value in zip(outputs, given.get(name, []), strict=False):
            grid = program.values[output].grid
            assert grid is not None
            steps = value.double() / float(grid.scale)
            found[output] = torch.round(steps).to(torch.int64) + grid.zero_point
    return found
