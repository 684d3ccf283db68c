"""MX formats, block by block in float64, against the specification."""

import math

import pytest
import torch
from torch import nn

import qat.nn as qnn
from qat import quantizers
from qat.quantizers import ready_made, ready_made_names

MX = {name: ready_made(name) for name in ready_made_names() if "MX" in name}

#: By the name of the element: exponent of its largest power of two, largest number, mantissa bits,
#: exponent of its smallest normal number (MX 1.0, tables 2 to 7).
ELEMENTS = {
    "Float8e4m3": (8, 448.0, 3, -6),
    "Float8e5m2": (15, 57344.0, 2, -14),
    "Float6e3m2": (4, 28.0, 2, -2),
    "Float6e2m3": (2, 7.5, 3, 0),
    "Float4e2m1": (2, 6.0, 1, 0),
}


def element(v, name):
    """One number rounded to the element format, halves to even, saturating."""
    if "Int8" in name:  # integers of 8 bits, read as multiples of 2**-6
        return max(-2.0, min(127 / 64, round(v * 64) / 64))
    _, largest, mantissa, smallest = ELEMENTS[
        name.removeprefix("MX").partition("Weight")[0].partition("Act")[0]
    ]
    exponent = max(math.frexp(v)[1] - 1, smallest) if v else smallest
    step = 2.0 ** (exponent - mantissa)
    return max(-largest, min(largest, round(v / step) * step))


def block(values, name):
    """A block quantized by the specification: its elements, and the scale that they share."""
    kind = name.removeprefix("MX").partition("Weight")[0].partition("Act")[0]
    emax = 0 if kind == "Int8" else ELEMENTS[kind][0]
    largest = max(abs(v) for v in values)
    scale = 2.0 ** (math.frexp(largest)[1] - 1 - emax) if largest else 1.0
    return [element(v / scale, name) * scale for v in values], scale


def by_blocks(x, name, size=32):
    rows = x.reshape(-1, x.shape[-1]).tolist()
    return torch.tensor(
        [
            [item for i in range(0, len(row), size) for item in block(row[i : i + size], name)[0]]
            for row in rows
        ],
        dtype=torch.float64,
    ).reshape(x.shape)


FIXED = [name for name in MX if not name.startswith("Shifted") and "MSE" not in name]


@pytest.mark.parametrize(
    ("name", "columns"),
    [(name, 40) for name in FIXED] + [(name, n) for name in FIXED[-2:] for n in (32, 5)],
)
def test_blocks_are_those_of_the_specification(name, columns):
    layer = nn.Linear(columns, 6).double()
    with torch.no_grad():
        layer.weight.mul_(2.0 ** torch.randint(-8, 8, layer.weight.shape))
        layer.weight[0] = 0.0
    quant = MX[name].let(module=layer).tensor_quant.double()
    x = layer.weight.detach()
    for training in (True, False):
        y, scale, zero_point, bit_width = quant.train(training)(x)
        torch.testing.assert_close(y, by_blocks(x, name), rtol=0, atol=0)
        assert set(torch.frexp(scale)[0].flatten().tolist()) == {0.5}
        assert (zero_point, bit_width) == (0.0, float(name.partition("Int")[2][:1] or name[7]))


@pytest.mark.parametrize("name, element", [("MXInt8Weight", 64), ("MXFloat8e4m3Weight", 256)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_scales_are_exact_beside_powers_of_two(name, element, dtype):
    # the logarithm of the number below 1024 is 10 in these types
    below = torch.nextafter(torch.tensor(1024.0, dtype=dtype), torch.tensor(0.0, dtype=dtype))
    layer = nn.Linear(2, 2).to(dtype)
    with torch.no_grad():
        layer.weight.copy_(
            torch.stack([below, below.new_tensor(1024.0)]).reshape(2, 1).expand(2, 2)
        )
    scale = MX[name].let(module=layer).tensor_quant.to(dtype)(layer.weight)[1]
    assert scale[:, 0].tolist() == [512 / element, 1024 / element]


def test_the_gradient_of_a_weight_goes_straight_through_and_through_the_scale():
    layer = nn.Linear(4, 1).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.9, 0.3, -0.7, 0.05]]))
    quant = MX["MXFloat4e2m1Weight"].let(module=layer).tensor_quant.double()
    y = quant(layer.weight)[0]
    assert y.tolist() == [[1.5, 0.25, -0.75, 0.0]]
    weights = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    (weights * y).sum().backward()
    # scale 1/4 = 2**floor(log2 1.9) / 4; d scale / d 1.9 = (1 / 1.9) / 4; y - x per step of 1/4
    to_scale = (weights * (y.detach() - layer.weight.detach()) / 0.25).sum()
    expected = weights.clone()
    expected[0, 0] += to_scale / 1.9 / 4
    torch.testing.assert_close(layer.weight.grad, expected)


@pytest.mark.parametrize("name", ["MXInt8WeightMSE", "MXFloat8e4m3WeightMSE"])
def test_blocks_by_least_error_are_no_worse_and_learned(name, backend):
    layer = nn.Linear(40, 6).double()
    quant = MX[name].let(module=layer).tensor_quant.double()
    y, scale, _, _ = quant(layer.weight)
    plain = by_blocks(layer.weight.detach(), name.removesuffix("MSE"))
    errors = [((each - layer.weight) ** 2).sum() for each in (y, plain)]
    assert errors[0] <= errors[1] * (1 + 1e-9)
    assert set(torch.frexp(scale)[0].flatten().tolist()) == {0.5}
    y.sum().backward()
    parameter = dict(quant.named_parameters())["group_quant.scaling_impl.value"]
    assert parameter.shape == parameter.grad.shape == (12, 1)


@pytest.mark.parametrize("name", ["ShiftedMXUInt8Weight", "ShiftedUint8WeightGroupQuantFloat"])
def test_intervals_of_blocks_with_a_zero_point(name):
    layer = nn.Linear(8, 3).double()
    with torch.no_grad():
        layer.weight.add_(0.2)
    quant = ready_made(name).let(module=layer, group_size=4).tensor_quant.double()
    y, scale, zero_point, bit_width = quant(layer.weight)
    for row in range(3):
        for start in (0, 4):
            group = layer.weight[row, start : start + 4].detach()
            low, high = min(0.0, float(group.min())), max(0.0, float(group.max()))
            step = (high - low) / 255
            if "MX" in name:
                step = 2.0 ** (math.frexp(high - low)[1] - 1) / 128
            zero = max(0.0, min(255.0, round(-low / step)))
            q = ((group / step).round() + zero).clamp(0, 255)
            part = (row, slice(start, start + 4))
            torch.testing.assert_close(y[part], (q - zero) * step)
            assert zero_point[part].tolist() == [zero] * 4
            torch.testing.assert_close(scale[part], torch.full((4,), step, dtype=torch.float64))
    assert bit_width == 8.0


@pytest.mark.parametrize("name", ["ShiftedMXUInt8WeightMSE", "ShiftedUint8WeightPerGroupFloatHQO"])
def test_learned_zero_points_have_an_entry_per_group(name, backend):
    layer = nn.Linear(8, 3).double()
    quant = ready_made(name).let(module=layer, group_size=4).tensor_quant.double()
    y, scale, zero_point, _ = quant(layer.weight)
    y.sum().backward()
    parameters = dict(quant.named_parameters())
    assert parameters["group_quant.zero_point_impl.value"].grad.shape == (6, 1)
    assert scale.shape == zero_point.shape == (3, 8)
    assert bool(((y - layer.weight).abs() <= 0.51 * scale.max()).all())


LAYERS = {
    "linear": (lambda **k: qnn.QuantLinear(40, 6, **k), (3, 40)),
    "conv": (lambda **k: qnn.QuantConv2d(40, 6, 3, **k), (2, 40, 5, 5)),
    "transposed": (lambda **k: qnn.QuantConvTranspose1d(40, 6, 3, **k), (2, 40, 7)),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", ["MXInt8", "MXFloat4e2m1"])
def test_layers_group_along_what_they_sum_over(kind, name, backend):
    make, shape = LAYERS[kind]
    layer = make(
        weight_quant=MX[f"{name}Weight"], input_quant=MX[f"{name}Act"], return_quant_tensor=True
    )
    x = torch.randn(shape)
    inputs = layer.input_quant(x)
    dim = -1 if kind == "linear" else 1
    expected = by_blocks(x.double().movedim(dim, -1), f"{name}Act").movedim(-1, dim)
    torch.testing.assert_close(inputs.value.double(), expected, rtol=0, atol=0)
    assert inputs.is_valid
    weight = layer.quant_weight()
    dim = 0 if kind == "transposed" else 1
    expected = by_blocks(layer.weight.detach().double().movedim(dim, -1), f"{name}Weight")
    torch.testing.assert_close(weight.value.double(), expected.movedim(-1, dim), rtol=0, atol=0)
    assert layer(x).scale is None  # sums over blocks of several scales have no grid
    assert layer.input_quant.scale() is None


def test_any_batch_passes_in_training_and_evaluation(backend):
    layer = qnn.QuantIdentity(quantizers.MXFloat8e4m3Act, group_dim=1, return_quant_tensor=True)
    for batch in (0, 1, 5):
        for training in (True, False):
            y = layer.train(training)(torch.randn(batch, 33, 2))
            assert y.value.shape == (batch, 33, 2)
            assert y.is_valid
    assert list(layer.state_dict()) == []


def test_a_relu_in_front_is_seen_by_the_scale(backend):
    layer = qnn.QuantReLU(quantizers.MXInt8Act, group_dim=1, group_size=2)
    assert layer(torch.tensor([[-100.0, 1.5]])).tolist() == [[0.0, 1.5]]


@pytest.mark.parametrize(
    "make, error, text",
    [
        (
            lambda: qnn.QuantLinear(8, 2, weight_quant=MX["MXInt8Weight"], weight_group_size=0),
            ValueError,
            "QuantLinear: group_size is 0; .*a whole number of at least 1",
        ),
        (
            lambda: qnn.QuantLinear(8, 2, weight_scaling_per_output_type="group"),
            ValueError,
            "QuantLinear: group_size is None",
        ),
        (
            lambda: qnn.QuantConv2d(8, 2, 3, weight_quant=MX["MXInt8Weight"], weight_group_dim=4),
            ValueError,
            r"QuantConv2d: group_dim is 4, but the tensor has 4 dimension\(s\); give one from -4",
        ),
        (
            lambda: qnn.QuantIdentity(MX["MXInt8Act"]),
            ValueError,
            "QuantIdentity: group_dim is None, .*give the one along which groups lie",
        ),
        (
            lambda: qnn.QuantIdentity(scaling_per_output_type="group", group_dim=1, group_size=4),
            ValueError,
            "groups of an activation come and go, .*use 'dynamic'",
        ),
        (
            lambda: qnn.QuantLinear(
                8,
                2,
                weight_quant=quantizers.SignedBinaryWeightPerTensorConst,
                weight_scaling_per_output_type="group",
                weight_group_size=4,
            ),
            NotImplementedError,
            "QuantLinear: .*'group' for a ClampedBinaryQuant",
        ),
        (
            lambda: qnn.QuantLinear(
                8,
                2,
                bias_quant=quantizers.Int8BiasPerTensorFloatInternalScaling,
                bias_scaling_per_output_type="group",
                bias_group_size=2,
            ),
            NotImplementedError,
            "QuantLinear: .*weights and activations only",
        ),
    ],
)
def test_groups_that_cannot_be_made_are_refused_when_the_layer_is_built(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_shared_scales_per_group_are_not_built():
    first = qnn.QuantLinear(8, 2, weight_quant=quantizers.MXInt8Weight)
    with pytest.raises(NotImplementedError, match="2 layers share .*give each layer its own"):
        qnn.QuantLinear(8, 2, weight_quant=first.weight_quant)


@pytest.mark.parametrize("op", ["ave", "percentile", "mse", "mean_sigma_std"])
def test_other_statistics_are_taken_per_group(op):
    layer = qnn.QuantLinear(
        8,
        2,
        weight_scaling_per_output_type="group",
        weight_group_size=4,
        weight_scaling_impl_type="parameter_from_stats",
        weight_scaling_stats_op=op,
        **({"weight_sigma": 2.0} if op == "mean_sigma_std" else {}),
    )
    assert layer.weight_quant.tensor_quant.group_quant.scaling_impl.value.shape == (4, 1)
    assert layer.quant_weight().is_valid
