"""Quantizers with a zero point, against their formulas in float64."""

import copy
import math

import pytest
import torch
from torch import nn

from qat.nn import QuantIdentity, QuantLinear, QuantReLU
from qat.ops import Bounds
from qat.proxy import fusion
from qat.ptq import calibration_mode
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFloat,
    ShiftedUint8ActPerTensorFixedPoint,
    ShiftedUint8ActPerTensorFloat,
    ShiftedUint8ActPerTensorFloatHQO,
    ShiftedUint8WeightPerChannelFloat,
    ShiftedUint8WeightPerTensorFloat,
    ShiftedUint8WeightPerTensorFloatHQO,
    ready_made,
)

#: How the interval is found, whether per row, whether the scale is a power of two.
EXPECTED = {
    "ShiftedUint8ActPerTensorFloat": ("interval", False, False),  # of 50 numbers the percentiles
    "ShiftedUint8ActPerTensorFixedPoint": ("interval", False, True),
    "ShiftedUint8ActPerTensorFloatMSE": ("mse", False, False),
    "ShiftedUint8ActPerTensorFixedPointMSE": ("mse", False, True),
    "ShiftedUint8WeightPerTensorFloat": ("interval", False, False),
    "ShiftedUint8WeightPerChannelFloat": ("interval", True, False),
    "ShiftedUint8WeightPerTensorFloatMSE": ("mse", False, False),
    "ShiftedUint8WeightPerChannelFloatMSE": ("mse", True, False),
}
HQO = {
    "ShiftedUint8ActPerTensorFloatHQO": False,
    "ShiftedUint8WeightPerTensorFloatHQO": False,
    "ShiftedUint8WeightPerChannelFloatHQO": True,
}


def scale_of(width, bits, is_power):
    steps = 2**bits
    return 2.0 ** math.ceil(math.log2(width)) / steps if is_power else width / (steps - 1)


def on_grid(row, scale, low, bits):
    """``(y, zero_point)`` of a grid that begins at ``low``."""
    zero_point = min(max(round(-low / scale), 0), 2**bits - 1)
    q = torch.clamp(torch.round(row / scale) + zero_point, 0, 2**bits - 1)
    return (q - zero_point) * scale, float(zero_point)


def two_rounds(error):
    """The first best of 20 fractions, then of those that divide its neighbourhood into fifths."""
    best = min(range(1, 21), key=lambda i: error(i / 20)) / 20
    near = [best]
    for i in range(1, 5):
        near += [max(best - i / 100, 0.01), min(best + i / 100, 1.0)]
    return min(near, key=error)


def expected_of(row, source, is_power, bits):
    """``(y, scale, zero_point)``."""
    low, width = float(row.min()), float(row.max() - row.min())
    if source == "mse":

        def error(threshold, lowest):
            y, _ = on_grid(row, scale_of(threshold, bits, is_power), lowest, bits)
            return float(((y - row) ** 2).sum())

        width *= two_rounds(lambda f: error(width * f, low * f))
        low *= two_rounds(lambda f: error(width, low * f))
    scale = scale_of(width, bits, is_power)
    y, zero_point = on_grid(row, scale, low, bits)
    return y, scale, zero_point


@pytest.mark.parametrize("bits", [8, 3])
@pytest.mark.parametrize("name", EXPECTED)
def test_value_scale_zero_point_and_bit_width_are_those_of_the_formula(name, bits, quantized):
    source, per_row, is_power = EXPECTED[name]
    result = quantized(name, bit_width=bits)
    x = result.x.detach()
    rows = x if per_row else x.reshape(1, -1)
    expected = [expected_of(row, source, is_power, bits) for row in rows]

    y, scale, zero_point, bit_width = (item.detach() for item in result.outputs)
    torch.testing.assert_close(y, torch.stack([item[0] for item in expected]).reshape(x.shape))
    assert scale.flatten().tolist() == pytest.approx([item[1] for item in expected])
    assert zero_point.flatten().tolist() == [item[2] for item in expected]
    assert scale.shape == zero_point.shape == ((4, 1) if per_row else ())
    assert bit_width.item() == bits


@pytest.mark.parametrize("bits", [8, 3])
@pytest.mark.parametrize("name", HQO)
def test_real_zero_point_is_on_its_grid_and_no_worse_than_the_minimum(name, bits, quantized):
    result = quantized(name, bit_width=bits)
    x, per_row = result.x.detach(), HQO[name]
    rows = x if per_row else x.reshape(1, -1)
    y, scale, zero_point, _ = (item.detach() for item in result.outputs)
    steps = 2**bits - 1
    for row, made, s, z in zip(
        rows, y.reshape(rows.shape), scale.flatten(), zero_point.flatten(), strict=True
    ):
        low, high = float(row.min()), float(row.max())
        assert s.item() == pytest.approx((high - low) / steps)
        q = torch.clamp(torch.round(row / s + z), 0, steps)
        torch.testing.assert_close(made, (q - z) * s)
        start = -low / s
        at_minimum = (torch.clamp(torch.round(row / s + start), 0, steps) - start) * s
        assert (made - row).abs().sum() <= (at_minimum - row).abs().sum() * (1 + 1e-9)


@pytest.mark.parametrize("name", EXPECTED)
def test_zero_is_on_the_grid(name, quantized):
    result = quantized(name)
    y, scale, zero_point, _ = result.outputs
    assert torch.equal(zero_point, zero_point.round())
    assert bool((zero_point >= 0).all() and (zero_point <= 255).all())


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["positive", "negative"])
def test_numbers_of_one_side_are_covered_from_zero_on(sign):
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight.copy_(sign * torch.linspace(2.0, 3.0, 8).reshape(2, 4))
    quant = ShiftedUint8WeightPerTensorFloat.let(module=layer).tensor_quant
    y, scale, zero_point, _ = quant(layer.weight)
    assert scale.item() == pytest.approx(3.0 / 255)
    assert zero_point.item() == (0.0 if sign > 0 else 255.0)
    assert float((y - layer.weight).detach().abs().max()) <= 0.5001 * scale.item()


def test_signed_grid_with_a_zero_point_gives_the_values_of_the_unsigned_one():
    layer = nn.Linear(8, 4)
    unsigned = ShiftedUint8WeightPerChannelFloat.let(module=layer).tensor_quant(layer.weight)
    signed = ShiftedUint8WeightPerChannelFloat.let(module=layer, signed=True).tensor_quant(
        layer.weight
    )
    assert torch.equal(signed[0], unsigned[0]) and torch.equal(signed[1], unsigned[1])
    assert torch.equal(signed[2], unsigned[2] - 128)


def test_gradient_of_the_recomputed_interval_is_that_of_the_formula():
    layer = nn.Linear(6, 3).double()
    quant = ShiftedUint8WeightPerTensorFloat.let(module=layer, bit_width=3).tensor_quant.double()
    weights = torch.linspace(-1, 2, 18, dtype=torch.float64).reshape(3, 6)
    (weights * quant(layer.weight)[0]).sum().backward()

    w = layer.weight.detach()
    scale = (w.max() - w.min()) / 7
    zero_point = torch.round(-w.min() / scale)
    q = torch.clamp(torch.round(w / scale) + zero_point, 0, 7)
    # straight through rounding and clamp; the scale's goes to the highest and the lowest number
    to_scale = (weights * (q - zero_point - w / scale)).sum()
    ends = (w == w.max()).double() - (w == w.min()).double()
    torch.testing.assert_close(layer.weight.grad, weights + to_scale / 7 * ends)


def test_learned_interval_gets_gradients():
    quant = ShiftedUint8ActPerTensorFloat.let(collect_stats_steps=1).tensor_quant
    quant(torch.randn(20))
    quant(5 * torch.randn(20))[0].square().sum().backward()
    assert quant.zero_point_impl.value.grad.abs().item() > 0
    assert quant.scaling_impl.value.grad.abs().item() > 0


def test_learned_zero_point_of_a_recomputed_scale_gets_a_gradient():
    layer = QuantLinear(16, 4, weight_quant=ShiftedUint8WeightPerTensorFloatHQO, weight_bit_width=2)
    value = layer.weight_quant.tensor_quant.zero_point_impl.value
    with torch.no_grad():
        value.mul_(0.5)  # the lowest numbers are clipped now
    layer.quant_weight().value.square().sum().backward()
    assert value.grad.abs().item() > 0


# Layers


def test_shared_weight_quantizer_has_one_zero_point_for_all(backend):
    first = QuantLinear(4, 3, weight_quant=ShiftedUint8WeightPerTensorFloat)
    second = QuantLinear(4, 3, weight_quant=first.weight_quant)
    with torch.no_grad():
        second.weight[0, 0] = -2.0
    made = [layer.weight_quant(layer.weight) for layer in (first, second)]
    joined = torch.cat([first.weight, second.weight]).detach()
    scale = float(joined.max().clamp(min=0) - joined.min()) / 255
    for each in made:
        assert each.scale.item() == pytest.approx(scale)
        assert each.zero_point.item() == round(2.0 / scale)
        assert each.is_valid


@pytest.mark.parametrize(
    "quantizer", [ShiftedUint8ActPerTensorFloat, ShiftedUint8ActPerTensorFloatHQO]
)
def test_activation_function_is_fused_once_the_zero_point_is_stored(
    quantizer, monkeypatch, backend
):
    calls = []
    monkeypatch.setattr(
        "qat.proxy.activation.fused_arguments",
        lambda *a: calls.append(fusion.fused_arguments(*a)) or calls[-1],
    )
    layer = QuantReLU(act_quant=quantizer, collect_stats_steps=1)
    x = torch.randn(4, 30)
    layer(x)
    assert calls[-1] is None  # statistics are those of what the function gives
    assert layer.act_quant.zero_point().item() == 0.0
    layer(x)
    assert calls[-1] == (Bounds(0.0, None), None)
    apart = copy.deepcopy(layer)
    monkeypatch.setattr("qat.proxy.activation.fused_arguments", lambda *a: None)
    assert torch.equal(layer(x), apart(x))


def test_kept_weight_is_quantized_again_when_the_weight_changed():
    layer = QuantLinear(8, 4, weight_quant=ShiftedUint8WeightPerChannelFloat).eval()
    x = torch.randn(3, 8)
    with torch.no_grad():
        layer(x), layer(x)
        layer.weight.add_(0.5)
        fresh = copy.deepcopy(layer)
        assert torch.equal(layer(x), fresh(x))


def test_calibration_fixes_scale_and_zero_point():
    layer = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat)
    with torch.no_grad(), calibration_mode(layer):
        for low in (-1.0, -3.0):
            assert torch.equal(layer(torch.tensor([low, 8.0])), torch.tensor([low, 8.0]))
    quant = layer.act_quant.tensor_quant
    assert quant.scaling_impl.value.item() == 10.0  # the mean of 9 and 11
    assert quant.zero_point_impl.value.item() == -2.0
    assert layer.act_quant.zero_point().item() == 51.0  # 2 / (10 / 255)
    assert not quant.scaling_impl.collecting and not quant.zero_point_impl.collecting


def test_state_dict_restores_interval_and_phase(backend):
    layer = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFixedPoint, collect_stats_steps=3)
    fresh = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFixedPoint, collect_stats_steps=3)
    layer(torch.randn(20))
    fresh.load_state_dict(layer.state_dict())
    x = torch.randn(20)
    for _ in range(4):
        assert torch.equal(layer(x), fresh(x))


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "last"]
)
def test_per_channel_activation_has_a_zero_point_for_each_channel(memory_format):
    shape = (1, 3, 1, 1)
    layer = QuantIdentity(
        act_quant=ShiftedUint8ActPerTensorFloat,
        return_quant_tensor=True,
        scaling_per_output_channel=True,
        per_channel_broadcastable_shape=shape,
    )
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=memory_format)
    made = layer(x)
    rows = x.transpose(0, 1).reshape(3, -1)
    scale = (rows.amax(1) - rows.amin(1)) / 255
    torch.testing.assert_close(made.scale, scale.reshape(shape))
    assert torch.equal(made.zero_point, torch.round(-rows.amin(1) / scale).reshape(shape))
    assert made.is_valid


def test_dynamic_interval_is_that_of_the_tensor_at_hand(backend):
    layer = QuantIdentity(
        act_quant=ShiftedUint8ActPerTensorFloat,
        scaling_impl_type="dynamic",
        zero_point_impl_type="dynamic",
        scaling_stats_op="min_max",
        return_quant_tensor=True,
    ).eval()
    for x in (torch.tensor([-1.0, 3.0]), torch.tensor([-2.0, 0.5])):
        made = layer(x)
        scale = (x[1] - x[0]) / 255
        torch.testing.assert_close(made.scale, scale)
        assert made.zero_point.item() == torch.round(-x[0] / scale).item()


@pytest.mark.parametrize("rows", [(3, 5), (2, 4, 5)])
def test_dynamic_interval_per_row_has_a_zero_point_for_each_row(rows):
    layer = QuantIdentity(
        act_quant=ShiftedUint8ActPerTensorFloat,
        scaling_impl_type="dynamic",
        zero_point_impl_type="dynamic",
        scaling_stats_op="min_max",
        scaling_per_output_type="row",
        return_quant_tensor=True,
    ).eval()
    x = torch.randn(rows)
    made = layer(x)
    low, high = x.amin(-1, True).clamp(max=0), x.amax(-1, True).clamp(min=0)
    torch.testing.assert_close(made.scale, (high - low) / 255)
    assert torch.equal(made.zero_point, torch.round(-low / made.scale))
    assert layer(torch.empty(0, 5)).value.shape == (0, 5)


def test_threshold_from_bounds_is_their_distance():
    layer = QuantIdentity(
        act_quant=Int8ActPerTensorFloat,
        signed=False,
        scaling_impl_type="parameter",
        zero_point_impl_type="parameter",
        min_val=-1.0,
        max_val=4.1,
    )
    assert layer.act_quant.scale().item() == pytest.approx(0.02)
    assert layer.act_quant.zero_point().item() == 50.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["ShiftedUint8ActPerTensorFloat", "ShiftedUint8ActPerTensorFloatHQO"]
)
def test_layer_compiles_into_one_graph_within_and_after_the_phase(name):
    torch._dynamo.reset()
    eager = QuantIdentity(act_quant=ready_made(name), collect_stats_steps=2)
    compiled = torch.compile(copy.deepcopy(eager), fullgraph=True, backend="aot_eager")
    for _ in range(4):
        x = torch.randn(30)
        torch.testing.assert_close(compiled(x), eager(x))
    torch._dynamo.reset()


# Contradictions


@pytest.mark.parametrize(
    ("overrides", "error", "match"),
    [
        ({"narrow_range": True}, ValueError, "narrow_range is True with a zero point"),
        ({"scaling_stats_op": "max"}, ValueError, "'max' measures how far .* choose one of 'min_"),
        ({"zero_point_stats_op": "max"}, ValueError, "zero_point_stats_op is 'max'; choose one of"),
        ({"high_percentile_q": 1e-4}, ValueError, "the first must be above the second"),
        ({"zero_point_impl_type": "stats"}, NotImplementedError, "'stats' is not built for act"),
        ({"zero_point_impl_type": "maybe"}, ValueError, "zero_point_impl_type is 'maybe'; choose"),
    ],
)
def test_contradictions_are_refused_when_the_layer_is_built(overrides, error, match):
    with pytest.raises(error, match=match):
        QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat, **overrides)


def test_channel_shape_that_does_not_fit_the_weight_is_refused():
    with pytest.raises(ValueError, match=r"is \(3, 1\), which does not broadcast to .* \(4, 8\)"):
        QuantLinear(
            8,
            4,
            weight_quant=Int8WeightPerTensorFloat,
            weight_scaling_per_output_channel=True,
            weight_per_channel_broadcastable_shape=(3, 1),
        )


def test_divergence_per_channel_is_not_built():
    with pytest.raises(NotImplementedError, match="'kl' is built for one scale per tensor"):
        QuantLinear(
            8,
            4,
            weight_quant=Int8WeightPerTensorFloat,
            weight_scaling_stats_op="kl",
            weight_scaling_per_output_type="channel",
        )
