"""Ready-made quantizers of accumulators against their formulas, and what they refuse."""

import pytest
import torch

from qat import QuantTensor
from qat.enums import FloatToIntImplType
from qat.nn import ClampQuantAccumulator, TruncQuantAccumulator
from qat.quantizers import (
    ClampTo8bit,
    NoneClampQuant,
    NoneTruncQuant,
    RoundTo8bit,
    ShiftRoundSaturateTo8bit,
    TruncTo8bit,
)

F64 = torch.float64


def accumulator(bits=12, signed=True):
    """Integers of that many bits in the scale 0.25, with the grid that describes them."""
    low = -(2 ** (bits - 1)) if signed else 0
    q = torch.arange(low, low + 2**bits, dtype=F64)
    grid = (torch.tensor(0.25, dtype=F64), torch.tensor(0.0, dtype=F64), torch.tensor(float(bits)))
    return q, (q * 0.25, *grid, signed)


@pytest.mark.parametrize("signed, low, high", [(True, -128, 127), (False, 0, 255)])
@pytest.mark.parametrize(
    "quantizer, rounding", [(TruncTo8bit, torch.floor), (RoundTo8bit, torch.round)]
)
def test_the_8_most_significant_bits_stay(quantizer, rounding, signed, low, high):
    q, arguments = accumulator(12, signed)
    y, scale, zero_point, bits = quantizer.tensor_quant(*arguments)
    assert (scale, zero_point, bits) == (0.25 * 16, 0, 8)
    assert torch.equal(y / scale, rounding(q / 16).clamp(low, high))


@pytest.mark.parametrize("signed, steps", [(True, 128), (False, 256)])
@pytest.mark.parametrize("collecting", [True, False])
def test_shift_round_saturate_drops_what_its_statistics_leave(signed, steps, collecting, backend):
    q, arguments = accumulator(14, signed)
    quant = ShiftRoundSaturateTo8bit.let(collect_stats_steps=1).tensor_quant.double()
    few = q[q.abs() <= 900]  # the 99.999th percentile: 900, the power of two above it: 1024
    made = quant(few * 0.25, *arguments[1:])
    if not collecting:
        made = quant.eval()(*arguments)
        few = q
    y, scale, zero_point, bits = made
    assert (scale, zero_point, bits) == (0.25 * 1024 / steps, 0, 8)
    low = -128 if signed else 0
    assert torch.equal(y / scale, torch.round(few * steps / 1024).clamp(low, low + 255))


def test_shift_round_saturate_learns_its_range():
    q, arguments = accumulator(14)
    quant = ShiftRoundSaturateTo8bit.let(collect_stats_steps=1).tensor_quant.double()
    quant(q[q.abs() <= 900] * 0.25, *arguments[1:])
    quant(*arguments)[0].square().sum().backward()
    (threshold,) = quant.parameters()
    assert bool(threshold.grad.isfinite()) and threshold.grad != 0


def test_clamp_keeps_the_scale_and_saturates(backend):
    q, (x, scale, zero_point, bits, _) = accumulator(12)
    y, out_scale, out_zero_point, out_bits = ClampTo8bit.tensor_quant(x, scale, bits, zero_point)
    assert (out_scale, out_zero_point, out_bits) == (0.25, 0, 8)
    assert torch.equal(y, q.clamp(-128, 127) * 0.25)


def test_clamp_does_not_widen_a_narrow_accumulator():
    q, (x, scale, zero_point, bits, _) = accumulator(5)
    y, _, _, out_bits = ClampTo8bit.tensor_quant(x, scale, bits, zero_point)
    assert out_bits == 5 and torch.equal(y, x)


@pytest.mark.parametrize(
    "attributes, bits",
    [
        ({"bit_width_to_remove": 3}, 8),
        ({"bit_width_to_remove": 3, "max_overall_bit_width": 16}, 9),
        ({"bit_width": 6}, 6),
        ({"bit_width_to_remove": 11, "min_overall_bit_width": 4}, 4),
        (
            {
                "bit_width_to_remove": 3,
                "max_overall_bit_width": 16,
                "bit_width_impl_type": "parameter",
            },
            9,
        ),
    ],
)
def test_clamp_removes_bits_within_its_bounds(attributes, bits):
    q, (x, scale, zero_point, width, _) = accumulator(12)
    y, _, _, out_bits = ClampTo8bit.let(**attributes).tensor_quant(x, scale, width, zero_point)
    assert out_bits == bits
    assert torch.equal(y / 0.25, q.clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))


@pytest.mark.parametrize(
    "attributes, said",
    [
        ({"quant_type": "binary"}, "quant_type of a truncation is 'binary'; choose one of 'int'"),
        ({"trunc_scaling_impl_type": "lsb"}, "trunc_scaling_impl_type is 'lsb'; .* 'wrapper'"),
        ({"bit_width": 0}, "bit_width is 0; it must be"),
        ({"float_to_int_impl_type": "down"}, "float_to_int_impl_type is 'down'"),
    ],
)
def test_contradictory_truncations_are_refused(attributes, said):
    with pytest.raises(ValueError, match=said):
        TruncTo8bit.let(**attributes).tensor_quant  # noqa: B018


@pytest.mark.parametrize(
    "quantizer, attributes, said",
    [
        (
            ShiftRoundSaturateTo8bit,
            {"restrict_scaling_type": "fp"},
            "restrict_scaling_type of a truncation is 'fp'; choose one of 'power_of_two'",
        ),
        (ClampTo8bit, {"quant_type": "ternary"}, "quant_type of a clamp is 'ternary'"),
        (ClampTo8bit, {"bit_width_to_remove": -1}, "bit_width_to_remove is -1; it must be"),
        (ClampTo8bit, {"min_overall_bit_width": 9}, "min_overall_bit_width is 9, above"),
    ],
)
def test_contradictory_ranges_are_refused(quantizer, attributes, said):
    with pytest.raises(ValueError, match=said):
        quantizer.let(**attributes).tensor_quant  # noqa: B018


@pytest.mark.parametrize("name", ["floor", "ceil", "round_to_zero", "dpu"])
def test_every_rounding_can_be_chosen(name):
    q, arguments = accumulator(6)
    exact = {
        "floor": torch.floor,
        "ceil": torch.ceil,
        "round_to_zero": torch.trunc,
        "dpu": lambda x: torch.where((x < 0) & (x % 1 == 0.5), x.ceil(), x.round()),
    }
    rounding = FloatToIntImplType(name)
    quant = TruncTo8bit.let(bit_width=4, float_to_int_impl_type=rounding).tensor_quant
    y, scale, *_ = quant(*arguments)
    assert torch.equal(y / scale, exact[name](q / 4).clamp(-8, 7))


@pytest.mark.parametrize(
    "layer", [TruncQuantAccumulator(NoneTruncQuant), ClampQuantAccumulator(NoneClampQuant)]
)
def test_accumulators_without_quantizer_pass_as_they_are(layer):
    x = QuantTensor(torch.randn(3), 1.0, 0.0, 12.0, True)
    assert layer(x) is x
    assert layer(x.value) is x.value
