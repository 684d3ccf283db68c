"""Random programs of tensor functions, as on plain tensors.

The reference is the same program on the values. Not here, as they are told elsewhere or known not
to hold: ``x += y``, which makes a new tensor, and writing through a view, which its base only sees
in its value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from qat.nn import QuantIdentity
from qat.quantizers import Fp8e4m3OCPActPerTensorFloat, MXFloat8e4m3Act, MXInt8Act
from qat.tensor import QuantTensor

Function = Callable[[Any, Any], Any]
SHAPE = (2, 4, 4, 4)


def _made_by(quantizer: Any) -> Callable[[int], QuantTensor]:
    def make(number: int) -> QuantTensor:
        layer = QuantIdentity(quantizer, return_quant_tensor=True)
        x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(number))
        layer(x)
        made: QuantTensor = layer.eval()(x).detach()
        return made

    return make


def _mirrored(x: QuantTensor) -> QuantTensor:
    return x.set(value=-x.value, scale=-x.scale)


def _widths(x: QuantTensor) -> QuantTensor:
    return x.set(bit_width=torch.tensor([8.0, 8.0, 10.0, 12.0]).reshape(1, 4, 1, 1))


QUANTIZERS: list[Any] = [
    Fp8e4m3OCPActPerTensorFloat,
    MXInt8Act.let(group_dim=1, group_size=2),
    MXFloat8e4m3Act.let(group_dim=-1, group_size=3),
]


@pytest.fixture(scope="module")
def examples(grids: Any) -> list[Callable[[int], QuantTensor]]:
    """What makes a quantized tensor from a seed, for each kind of grid."""
    return [
        *(lambda number, grid=grid: grid.make(SHAPE, number) for grid in grids.values()),
        lambda number: _mirrored(grids["int4"].make(SHAPE, number)),
        lambda number: _widths(grids["int8"].make(SHAPE, number)),
        lambda number: grids["uint8_channels_shifted"].make(SHAPE, number).permute(0, 2, 3, 1),
        *map(_made_by, QUANTIZERS),
    ]


def _in_place(write: Callable[[Any, Any], Any]) -> Function:
    def function(a: Any, b: Any) -> Any:
        copy = a.clone()
        write(copy, b)
        return copy

    return function


def _set(index: Callable[[Any], Any], to: Callable[[Any], Any]) -> Function:
    return _in_place(lambda a, b: a.__setitem__(index(a), to(b)))


def _some(a: Any) -> torch.Tensor:
    return torch.arange(a.numel()).reshape(tuple(a.shape)) % 3 != 1


FUNCTIONS: dict[str, Function] = {
    "slice": lambda a, b: a[..., 1::2],
    "first": lambda a, b: a[0],
    "last": lambda a, b: a[..., -1],
    "new dimension": lambda a, b: a[:, None],
    "list": lambda a, b: a[[0, 0, -1]],
    "indices": lambda a, b: a[:, torch.tensor([0, -1, 0])],
    "mask": lambda a, b: a[_some(a)],
    "mask of rows": lambda a, b: a[torch.arange(a.shape[0]) % 2 == 0],
    "mask of values": lambda a, b: a[a > 0],
    "none": lambda a, b: a[:0],
    "pad": lambda a, b: F.pad(a, [1, 0, 2, 1]),
    "crop": lambda a, b: F.pad(a, [-1, 1]),
    "pad with ones": lambda a, b: F.pad(a, [1, 1], value=1.0),
    "reflect": lambda a, b: F.pad(a, [1, 1, 1, 1], mode="reflect"),
    "reshape": lambda a, b: a.reshape(a.shape[0], -1),
    "ravel": lambda a, b: torch.flatten(a),
    "permute": lambda a, b: a.permute(*range(1, a.dim()), 0),
    "transpose": lambda a, b: a.transpose(0, -1),
    "squeeze": lambda a, b: a.squeeze(),
    "expand": lambda a, b: a[:1].expand(3, *a.shape[1:]),
    "repeat": lambda a, b: a.repeat(2, *[1] * (a.dim() - 1)),
    "flip": lambda a, b: a.flip(0),
    "unfold": lambda a, b: a.unfold(-1, 2, 1),
    "diagonal": lambda a, b: a.diagonal(),
    "cat": lambda a, b: torch.cat([a, b], 1),
    "cat of kinds": lambda a, b: torch.cat([a, -a, abs(a)]),
    "stack": lambda a, b: torch.stack([a, b], -1),
    "split": lambda a, b: a.split(1, -1)[-1],
    "chunk": lambda a, b: torch.chunk(a, 2, 1)[0],
    "rows": lambda a, b: list(a)[-1],
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "add 0": lambda a, b: a + 0,
    "add 0.5": lambda a, b: 0.5 + a,
    "from 0": lambda a, b: 0 - a,
    "times 0": lambda a, b: a * 0,
    "times -3": lambda a, b: -3 * a,
    "over -0.3": lambda a, b: a / -0.3,
    "neg": lambda a, b: -a,
    "abs": lambda a, b: abs(a),
    "relu": lambda a, b: F.relu(a),
    "clamp": lambda a, b: a.clamp(min=0),
    "relu in place": _in_place(lambda a, b: F.relu(a, inplace=True)),
    "add in place": _in_place(lambda a, b: a.add_(b)),
    "mul in place": _in_place(lambda a, b: a.mul_(2)),
    "write a number": _set(lambda a: 0, lambda b: 0.33),
    "write zeros": _set(lambda a: a > 0, lambda b: 0.0),
    "write a row": _set(lambda a: 0, lambda b: b[-1]),
    "write into a sum": lambda a, b: [(a + 0).relu_(), (0 + a).add_(0.3), a - 0, a][-1],
    "max pool": lambda a, b: F.max_pool2d(a, 2, padding=1),
    "max pool 1d": lambda a, b: F.max_pool1d(a, 2),
    "avg pool": lambda a, b: F.avg_pool2d(a, 2),
    "avg pool, padded": lambda a, b: F.avg_pool2d(a, 2, padding=1),
    "avg pool, own divisor": lambda a, b: F.avg_pool2d(a, (2, 1), 1, divisor_override=3),
    "adaptive avg pool": lambda a, b: F.adaptive_avg_pool2d(a, 2),
    "uneven avg pool": lambda a, b: F.adaptive_avg_pool2d(a, 3),
    "adaptive max pool": lambda a, b: F.adaptive_max_pool2d(a, 2),
    "nearest": lambda a, b: F.interpolate(a, scale_factor=2),
    "bilinear": lambda a, b: F.interpolate(a, scale_factor=2, mode="bilinear"),
    "pixel shuffle": lambda a, b: F.pixel_shuffle(a, 2),
    "greater": lambda a, b: a > b,
    "equal": lambda a, b: a == b,
    "where": lambda a, b: torch.where(a > 0, a, b),
    "maximum": lambda a, b: torch.maximum(a, b),
    "softmax": lambda a, b: a.softmax(-1),
    "mean": lambda a, b: a.mean(-1),
    "sort": lambda a, b: a.sort(-1).values,
    "channels last": lambda a, b: a.contiguous(memory_format=torch.channels_last),
}
EACH = st.sampled_from(list(FUNCTIONS))
STEPS = st.lists(st.tuples(EACH, st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8)


def _run(function: Function, a: Any, b: Any) -> Any:
    try:
        return function(a, b)
    except (RuntimeError, IndexError, ValueError, NotImplementedError):  # a shape that misfits
        return None


def _check_grid(x: QuantTensor, name: str) -> None:
    assert x.is_valid, name
    if x.float_format is not None or x.value.numel() == 0:
        return
    q, zero_point, scale = x.int().double(), x.zero_point.double(), x.scale.double()
    precision = 4 * torch.finfo(x.dtype).eps
    reach = float(q.abs().max() + zero_point.abs().max())
    slack = precision * x.value.double().abs() + scale.abs() * max(1e-3, precision * reach)
    assert bool((((q - zero_point) * scale - x.value.double()).abs() <= slack).all()), name


@seed(4)
@settings(max_examples=200, deadline=None)
@given(steps=STEPS, kind=st.integers(0, 99), other=st.integers(0, 99))
def test_a_program_gives_the_values_of_plain_tensors_and_only_whole_grids(
    examples, steps, kind, other
):
    other = other if other % 4 == 0 else kind  # most have two operands of one kind
    quantized: list[Any] = [examples[n % len(examples)](n) for n in (kind, other)]
    plain = [x.value.clone() for x in quantized]

    for name, i, j in steps:
        i, j = i % len(plain), j % len(plain)
        expected = _run(FUNCTIONS[name], plain[i], plain[j])
        result = _run(FUNCTIONS[name], quantized[i], quantized[j])

        assert (result is None) == (expected is None), name
        if expected is None:
            continue
        value = result.value if isinstance(result, QuantTensor) else result
        assert value.dtype == expected.dtype, name
        torch.testing.assert_close(value, expected, rtol=0, atol=0, equal_nan=True, msg=name)
        if isinstance(result, QuantTensor) and not result.missing:
            _check_grid(result, name)
        if expected.is_floating_point() and expected.numel() < 5000:
            plain.append(expected)
            quantized.append(result)
