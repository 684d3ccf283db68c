"""The exact reference, against sums of fractions by hand."""

from fractions import Fraction
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from qat.export.integers import run
from qat.export.program import Grid, IntParameter, Kind, Operation, Program, Value
from qat.formats import IntFormat
from qat.granularity import PerAxis

UINT8, INT8, BINARY = IntFormat(8, signed=False), IntFormat(8), IntFormat(1)


def grid(scale, format=UINT8, zero_point=0):
    return Grid(format, torch.tensor(scale), zero_point)


def chain(*steps, **values):
    """A program whose value ``x`` is given and comes onto its grid as ``q``."""
    held = {name: Value(name, (), each) for name, each in values.items()}
    first = Operation(Kind.QUANTIZE, "", ("x",), "q")
    return Program((first, *steps), {"x": Value("x", ()), **held}, ("x",), (steps[-1].output,))


def nearest(number, to):
    """The integer of a fraction on a grid, ties to even."""
    q = round(number / Fraction(float(to.scale))) + to.zero_point
    return min(max(q, to.format.min_value), to.format.max_value)


@pytest.fixture
def images():
    return torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 4


def parameter(shape, format=INT8, zero_point=0.0, seed=1):
    generator = torch.Generator().manual_seed(seed)
    integers = torch.randint(format.min_value, format.max_value + 1, shape, generator=generator)
    scale = torch.rand(shape[0], *[1] * (len(shape) - 1), generator=generator) * 0.02 + 0.001
    return IntParameter("w", integers, format, scale, torch.tensor(zero_point), PerAxis(0))


@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize(("own", "to"), [
    (grid(0.05, UINT8, 100), grid(0.1, UINT8, 128)), (grid(0.25, INT8), grid(0.5, INT8)),
])  # fmt: skip
def test_a_convolution_sums_integers_and_pads_with_the_zero_point(images, own, to, shift):
    weight, bias = parameter((4, 3, 3, 3), IntFormat(4)), torch.tensor([5, -7, 0, 900])
    settings = {"stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    layer = Operation(
        Kind.CONVOLUTION, "", ("q",), "y", settings, weight,
        bias=torch.zeros(4), bias_integers=bias, shift=shift,
    )  # fmt: skip
    program = chain(layer, Operation(Kind.QUANTIZE, "", ("y",), "z"), q=own, y=None, z=to)
    made = run(program, {"x": images})
    x = F.pad(made["q"] - own.zero_point, (1, 1, 1, 1))
    for n, c, i, j in product(range(2), range(4), range(3), range(3)):
        window = x[n, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        total = int((window * weight.integers[c]).sum()) * 2**shift + int(bias[c])
        step = Fraction(float(own.scale)) * Fraction(float(weight.scale[c])) / 2**shift
        assert int(made["z"][n, c, i, j]) == nearest(total * step, to)


def test_a_sum_at_a_tie_goes_to_the_even_integer():
    own, to = grid(0.02), grid(0.04)
    add = Operation(Kind.ADD, "", ("q", "q2"), "y")
    program = chain(
        Operation(Kind.QUANTIZE, "", ("x",), "q2"), add, Operation(Kind.QUANTIZE, "", ("y",), "z"),
        q=own, q2=grid(0.06), y=None, z=to,
    )  # fmt: skip
    x = torch.arange(0, 6, 0.01)
    made = run(program, {"x": x})
    scales = [Fraction(float(each.scale)) for each in (own, grid(0.06))]
    for a, b, q in zip(made["q"].tolist(), made["q2"].tolist(), made["z"].tolist(), strict=True):
        assert q == nearest(a * scales[0] + b * scales[1], to)


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("ceil", [True, False])
@pytest.mark.parametrize("gridded", [True, False])
def test_averages_are_exact_also_of_what_is_on_no_grid(images, gridded, ceil, counted):
    own, to = grid(0.1, UINT8, 90), grid(0.05, INT8)
    settings = {"kernel": (3, 2), "stride": (2, 2), "padding": (1, 0)}
    settings |= {"ceil": ceil, "count_padding": counted}
    source = "q" if gridded else "r"
    program = chain(
        Operation(Kind.RELU, "", ("q",), "r"),
        Operation(Kind.AVERAGE_POOL, "", (source,), "y", settings),
        Operation(Kind.QUANTIZE, "", ("y",), "z"),
        q=own, r=None, y=None, z=to,
    )  # fmt: skip
    made = run(program, {"x": images})
    reals = (made["q"] - own.zero_point).double() * float(own.scale)
    reals = reals if gridded else reals.relu()
    wanted = F.avg_pool2d(reals, (3, 2), 2, (1, 0), ceil, counted) / float(to.scale)
    assert made["z"].shape == wanted.shape
    off = (made["z"] - wanted).abs()
    assert bool((off <= 0.5 + 1e-6).all())
    ties = (wanted - wanted.floor() - 0.5).abs() < 1e-9
    assert bool((made["z"][ties] % 2 == 0).all()) or not ties.any()


def test_the_mean_over_an_image_is_exact():
    own, to = grid(0.3, UINT8), grid(0.1, UINT8)
    program = chain(
        Operation(Kind.GLOBAL_POOL, "", ("q",), "y"), Operation(Kind.QUANTIZE, "", ("y",), "z"),
        q=own, y=None, z=to,
    )  # fmt: skip
    made = run(program, {"x": torch.rand(3, 5, 7, 4) * 20})
    for n, c in product(range(3), range(5)):
        total = Fraction(int(made["q"][n, c].sum()), 28) * Fraction(float(own.scale))
        assert int(made["z"][n, c]) == nearest(total, to)


def test_signs_are_of_exact_sums_and_zero_is_positive():
    weight = parameter((3, 4), BINARY)
    weight.integers[:] = torch.tensor([[1, -1, 1, -1], [1, 1, 1, 1], [-1, -1, -1, 1]])
    program = chain(
        Operation(Kind.LINEAR, "", ("q",), "y", weight=weight),
        Operation(Kind.QUANTIZE, "", ("y",), "z"),
        q=grid(0.1, BINARY), y=None, z=grid(1.0, BINARY),
    )  # fmt: skip
    made = run(program, {"x": torch.tensor([[1.0, 2.0, -3.0, -0.5]])})
    assert made["q"].tolist() == [[1, 1, -1, -1]] and made["z"].tolist() == [[1, 1, -1]]


def test_float_operations_compute_what_torch_does(images):
    aten = torch.ops.aten.silu.default
    from qat.export.program import Reference

    silu = Operation(
        Kind.FLOAT, "", ("q",), "y", {"target": aten, "args": (Reference("q"),), "kwargs": {}}
    )
    own = grid(0.05, UINT8, 128)
    made = run(chain(silu, q=own, y=None), {"x": images})
    assert torch.equal(made["y"], F.silu((made["q"] - 128).float() * own.scale))


def test_a_visitor_replaces_what_later_operations_read(images):
    program = chain(
        Operation(Kind.RELU, "", ("q",), "y"), Operation(Kind.QUANTIZE, "", ("y",), "z"),
        q=grid(0.1, UINT8, 128), y=None, z=grid(0.1),
    )  # fmt: skip
    seen = []

    def visit(operation, integers, _):
        seen.append(operation.output)
        return torch.full_like(integers, 130) if operation.output == "q" else integers

    made = run(program, {"x": images}, visit)
    assert seen == ["q", "z"] and made["z"].unique().tolist() == [2]


def test_an_empty_batch_is_one():
    program = chain(
        Operation(Kind.GLOBAL_POOL, "", ("q",), "y"),
        Operation(Kind.FLATTEN, "", ("y",), "z", {"start": 1}),
        q=grid(0.3), y=None, z=None,
    )  # fmt: skip
    assert run(program, {"x": torch.zeros(0, 5, 4, 4)})["z"].shape == (0, 5)
