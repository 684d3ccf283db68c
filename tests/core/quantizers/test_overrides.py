"""Attributes of ready-made quantizers, replaced by keyword."""

import pytest
import torch
from torch import nn

from qat.components import (
    AbsMaxAve,
    AffineStatsScaling,
    ConstScaling,
    OverOutputChannelView,
    ParameterFromRuntimeStatsScaling,
    ParameterFromStatsFromParameterScaling,
    ParameterScaling,
    PowerOfTwoRestrictValue,
    RuntimeStatsScaling,
    StatsFromParameterScaling,
    TernaryQuant,
)
from qat.components.scaling import SharedStatsFromParameterScaling
from qat.enums import QuantType, RestrictValueType, ScalingImplType, StatsOp
from qat.inject import DependencyError
from qat.nn import QuantIdentity, QuantLinear, QuantReLU
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    NoneActQuant,
    NoneBiasQuant,
    NoneWeightQuant,
    SignedBinaryActPerTensorConst,
    Uint8ActPerTensorFloat,
)

ROWS = [[1.0, -4.0], [0.5, 0.25]]


def linear():
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(ROWS))
    return layer


def weight_quant(**overrides):
    layer = linear()
    quant = Int8WeightPerTensorFloat.let(module=layer, **overrides).tensor_quant
    return quant, layer.weight


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Parts are told apart by their class, which TorchScript wraps."""
    from qat import config

    monkeypatch.setattr(config, "JIT_ENABLED", False)


@pytest.mark.parametrize("name", ["const", "CONST", "Const", ScalingImplType.CONST])
def test_choice_is_the_enum_or_its_name_in_any_case(name):
    quant, weight = weight_quant(scaling_impl_type=name, scaling_const=2.0)
    assert isinstance(quant.scaling_impl, ConstScaling)
    assert quant(weight)[1].item() == pytest.approx(2.0 / 127)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("const", ConstScaling),
        ("parameter", ParameterScaling),
        ("parameter_from_stats", ParameterFromStatsFromParameterScaling),
        ("stats", StatsFromParameterScaling),
        ("affine_stats", AffineStatsScaling),
        ("dynamic", StatsFromParameterScaling),
    ],
)
def test_scaling_of_a_weight_is_chosen_by_name(name, kind):
    quant, weight = weight_quant(scaling_impl_type=name, scaling_const=4.0)
    assert type(quant.scaling_impl) is kind
    assert quant(weight)[1].item() == pytest.approx(4.0 / 127)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("const", ConstScaling),
        ("parameter", ParameterScaling),
        ("parameter_from_stats", ParameterFromRuntimeStatsScaling),
        ("stats", RuntimeStatsScaling),
    ],
)
def test_scaling_of_an_activation_is_chosen_by_name(name, kind):
    quant = Int8ActPerTensorFloat.let(scaling_impl_type=name, scaling_const=4.0).tensor_quant
    assert type(quant.scaling_impl) is kind
    assert quant(torch.tensor(ROWS))[1].item() == pytest.approx(4.0 / 128)


@pytest.mark.parametrize("name", ["parameter_from_stats", "stats"])
def test_weights_of_layers_that_share_a_quantizer_share_its_statistic(name):
    small, large = linear(), linear()
    with torch.no_grad():
        large.weight.mul_(2)
    both = Int8WeightPerTensorFloat.let(module=(small, large), scaling_impl_type=name)
    quant = both.tensor_quant
    if name == "stats":
        assert isinstance(quant.scaling_impl, SharedStatsFromParameterScaling)
    assert quant(small.weight)[1].item() == pytest.approx(8.0 / 127)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("max", 4.0),
        ("ave", 5.75 / 4),
        ("AVE", 5.75 / 4),
        (StatsOp.MAX_AVE, (4.0 + 0.5) / 2),
        ("max_l2", ((16 + 0.25) / 2) ** 0.5),
        ("percentile", 1.0),  # rank floor(0.75 * 4 + 0.5) of 4
    ],
)
@pytest.mark.parametrize("scaling", ["stats", "parameter_from_stats"])
def test_statistic_is_chosen_by_name(op, expected, scaling):
    quant, weight = weight_quant(
        scaling_stats_op=op, scaling_impl_type=scaling, high_percentile_q=75.0
    )
    assert quant(weight)[1].item() == pytest.approx(expected / 127)


def test_average_over_channels_of_an_activation_is_taken_over_the_rows_of_its_view():
    quant = Int8ActPerTensorFloat.let(
        scaling_stats_op="max_ave", scaling_stats_permute_dims=(1, 0)
    ).tensor_quant
    assert isinstance(quant.scaling_impl.stats.stats_impl, AbsMaxAve)
    assert isinstance(quant.scaling_impl.stats_input_view_shape_impl, OverOutputChannelView)
    # largest of each column: 1, 4
    assert quant(torch.tensor(ROWS))[1].item() == pytest.approx(2.5 / 128)


@pytest.mark.parametrize("op", ["max_ave", "MAX_L2"])
def test_average_over_channels_is_refused_per_channel(op):
    with pytest.raises(ValueError, match="gives one number .* scaling_per_output_channel to False"):
        weight_quant(scaling_stats_op=op, scaling_per_output_channel=True)


@pytest.mark.parametrize("name", ["power_of_two", "POWER_OF_TWO", RestrictValueType.POWER_OF_TWO])
def test_restriction_is_chosen_by_name(name):
    quant, weight = weight_quant(restrict_scaling_type=name, scaling_stats_op="ave")
    restriction = quant.scaling_impl.restrict_scaling.restrict_value_impl
    assert isinstance(restriction, PowerOfTwoRestrictValue)
    # log2(5.75 / 4) = 0.52 rounds to 1
    assert quant(weight)[1].item() == 2.0 / 128


def test_logarithmic_scale_keeps_its_value():
    quant, weight = weight_quant(
        restrict_scaling_type="log_fp", scaling_impl_type="parameter_from_stats"
    )
    assert quant(weight)[1].item() == pytest.approx(4.0 / 127)
    assert quant.scaling_impl.value.item() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("round", 2.0), ("ceil", 3.0), ("FLOOR", 2.0), ("round_to_zero", 2.0), ("dpu", 2.0)],
)
def test_rounding_is_chosen_by_name(name, expected):
    quant = Uint8ActPerTensorFloat.let(
        scaling_impl_type="const", scaling_const=255.0, float_to_int_impl_type=name
    ).tensor_quant
    assert quant(torch.tensor([2.4]))[0].item() == expected


@pytest.mark.parametrize("kind", [QuantType.TERNARY, "ternary", "TERNARY"])
def test_arithmetic_is_chosen_by_name(kind):
    quant, weight = weight_quant(quant_type=kind, threshold=0.5)
    assert isinstance(quant, TernaryQuant)
    assert quant(weight)[0].tolist() == [[0.0, -4.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("field", "choices"),
    [
        ("scaling_impl_type", "'const', 'he', 'parameter', 'parameter_from_stats', 'stats'"),
        ("restrict_scaling_type", "'fp', 'signed_fp', 'log_fp', 'int', 'power_of_two'"),
        ("scaling_stats_op", "'max', 'ave', 'max_ave', 'max_l2', 'percentile'"),
        ("float_to_int_impl_type", "'round', 'ceil', 'floor', 'round_to_zero', 'dpu'"),
        ("quant_type", "'int', 'binary', 'ternary'"),
        ("bit_width_impl_type", "'const', 'stateful_const', 'parameter'"),
    ],
)
@pytest.mark.parametrize("wrong", ["constt", 3, None])
def test_wrong_choice_is_an_error_with_the_choices(field, choices, wrong):
    with pytest.raises(ValueError, match=f"{field} is '{wrong}'; choose one of {choices}"):
        weight_quant(**{field: wrong})


@pytest.mark.parametrize("bits", [2, 4, 16])
def test_bit_width_changes_grid_and_scale(bits):
    quant, weight = weight_quant(bit_width=bits)
    y, scale, _, bit_width = quant(weight)
    assert bit_width.item() == bits
    assert scale.item() == pytest.approx(4.0 / (2 ** (bits - 1) - 1))
    assert y.min().item() == pytest.approx(-4.0)


@pytest.mark.parametrize("bits", [0, 40, 2.5, "8"])
def test_bit_width_that_does_not_exist_is_refused(bits):
    with pytest.raises(ValueError, match="it must be a whole number from 1 to 32"):
        weight_quant(bit_width=bits)


def test_narrow_range_and_signed_change_the_ends_of_the_grid():
    x = torch.tensor([-100.0, 100.0])
    constant = {"scaling_impl_type": "const", "scaling_const": 1.0, "bit_width": 2}
    ends = {
        (signed, narrow): Int8ActPerTensorFloat.let(
            signed=signed, narrow_range=narrow, **constant
        ).tensor_quant(x)
        for signed in (True, False)
        for narrow in (True, False)
    }
    integers = {key: (y / scale).round().tolist() for key, (y, scale, *_) in ends.items()}
    assert integers == {
        (True, True): [-1.0, 1.0],
        (True, False): [-2.0, 1.0],
        (False, True): [0.0, 2.0],
        (False, False): [0.0, 3.0],
    }


def test_per_output_channel_is_a_keyword_on_either_quantizer():
    _, weight = weight_quant()
    per_channel = weight_quant(scaling_per_output_channel=True)[0](weight)[1]
    per_tensor = Int8WeightPerChannelFloat.let(
        module=linear(), scaling_per_output_channel=False
    ).tensor_quant(weight)[1]
    torch.testing.assert_close(per_channel, torch.tensor([[4.0], [0.5]]) / 127)
    torch.testing.assert_close(per_tensor, torch.tensor(4.0 / 127))


def test_activation_per_channel_takes_the_shape_it_is_given():
    quant = Int8ActPerTensorFloat.let(
        scaling_per_output_channel=True,
        per_channel_broadcastable_shape=(1, 2),
        scaling_stats_permute_dims=(1, 0),
        collect_stats_steps=1,
    ).tensor_quant
    scale = quant(torch.tensor(ROWS))[1]
    torch.testing.assert_close(scale, torch.tensor([[1.0, 4.0]]) / 128)


def test_activation_per_channel_without_a_shape_says_what_is_missing():
    with pytest.raises(DependencyError, match="'per_channel_broadcastable_shape'"):
        _ = Int8ActPerTensorFloat.let(scaling_per_output_channel=True).tensor_quant


def test_constant_activation_scale_without_a_start_says_what_to_give():
    with pytest.raises(ValueError, match="give scaling_const, or min_val and max_val"):
        _ = Int8ActPerTensorFloat.let(scaling_impl_type="const").tensor_quant


def test_bounds_set_the_scale_of_a_constant_activation():
    quant = SignedBinaryActPerTensorConst.let(min_val=-0.5, max_val=0.25).tensor_quant
    assert quant(torch.tensor([3.0, -3.0]))[0].tolist() == [0.5, -0.5]


def test_statistics_of_activations_take_steps_and_momentum():
    quant = Uint8ActPerTensorFloat.let(
        collect_stats_steps=2, scaling_stats_momentum=None, scaling_stats_op="max"
    ).tensor_quant
    for largest in (255.0, 510.0, 9999.0):
        scale = quant(torch.tensor([largest]))[1].item()
    assert scale == pytest.approx(1.5)


def test_delay_is_a_keyword():
    quant, weight = weight_quant(quant_delay_steps=1, bit_width=2)
    assert torch.equal(quant(weight)[0], weight)
    assert not torch.equal(quant(weight)[0], weight)


def test_part_of_ones_own_replaces_the_one_that_words_would_choose():
    quant, weight = weight_quant(scaling_impl=ConstScaling, scaling_init=12.7)
    assert quant(weight)[1].item() == pytest.approx(0.1)


def test_transposed_weight_has_its_channels_in_the_second_dimension():
    layer = nn.Linear(2, 2)
    layer.output_channel_dim = 1
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(ROWS))
    scale = Int8WeightPerChannelFloat.let(module=layer).tensor_quant(layer.weight)[1]
    torch.testing.assert_close(scale, torch.tensor([[1.0, 4.0]]) / 127)


def test_bias_in_the_scale_of_the_accumulator_saturates_at_its_bit_width():
    quant = Int32Bias.let(module=nn.Linear(1, 2), bit_width=4).tensor_quant
    y = quant(torch.tensor([0.3, 99.0]), torch.tensor(0.25))[0]
    assert y.tolist() == [0.25, 7 * 0.25]


def test_one_bit_with_a_narrow_range_is_refused_as_a_grid_of_zero_alone():
    quantizer = Int8WeightPerTensorFloat.let(module=linear(), bit_width=1)
    with pytest.raises(ValueError, match="a grid that holds only 0; use bit_width 2 or more"):
        _ = quantizer.tensor_quant


def test_one_bit_without_a_narrow_range_has_the_values_minus_one_and_zero():
    layer = linear()
    quant = Int8WeightPerTensorFloat.let(module=layer, bit_width=1, narrow_range=False).tensor_quant
    assert quant(layer.weight)[0].tolist() == [[0.0, -4.0], [0.0, 0.0]]


@pytest.mark.parametrize("kind", ["const", "parameter"])
def test_constant_or_learned_weight_scale_without_a_start_says_what_to_give(kind):
    quantizer = Int8WeightPerTensorFloat.let(module=linear(), scaling_impl_type=kind)
    with pytest.raises(ValueError, match="needs a start: give scaling_const; scaling_impl_type"):
        _ = quantizer.tensor_quant


def test_a_per_channel_activation_needs_no_permutation_beside_its_shape():
    act = QuantReLU(
        scaling_per_output_channel=True,
        per_channel_broadcastable_shape=(1, 3, 1, 1),
        scaling_stats_op="max",
        collect_stats_steps=1,
    )
    x = torch.rand(2, 3, 4, 4)

    act(x)

    expected = x.amax((0, 2, 3)).reshape(1, 3, 1, 1) / 255
    torch.testing.assert_close(act.quant_act_scale().detach(), expected)


def test_a_weight_percentile_has_a_default():
    layer = QuantLinear(10, 4, weight_scaling_stats_op="percentile")

    scale = layer.quant_weight_scale()

    torch.testing.assert_close(scale, layer.weight.abs().max() / 127)  # of 40 elements, the largest


def test_the_role_is_no_attribute_that_can_be_set():
    with pytest.raises(TypeError, match="Int8WeightPerTensorFloat does not know 'role'"):
        QuantLinear(2, 2, weight_role="bias")


# Quantizers of quant_type "fp": none is built, and layers behave as with None

NONE = {"weight_quant": NoneWeightQuant, "bias_quant": NoneBiasQuant}
NONE |= {"input_quant": NoneActQuant, "output_quant": NoneActQuant}


def test_a_layer_without_quantizers_is_the_float_layer():
    layer, x = QuantLinear(3, 2, **NONE), torch.randn(4, 3)
    floats = nn.Linear(3, 2)
    floats.load_state_dict(layer.state_dict(), strict=True)
    assert torch.equal(layer(x), floats(x))
    assert not layer.has_quantizers()


@pytest.mark.parametrize("site", NONE)
def test_it_says_what_none_says(site):
    layers = (QuantLinear(3, 2, **{site: quant}) for quant in (NONE[site], None))
    proxy, other = (getattr(layer, site) for layer in layers)
    assert proxy.is_quant_enabled is other.is_quant_enabled is False
    assert proxy.is_identity and other.is_identity
    assert proxy.scale() is proxy.zero_point() is proxy.bit_width() is None
    assert "float" in repr(proxy)


def test_a_quantizer_is_switched_off_by_its_quant_type():
    off = {"weight_quant": Int8WeightPerTensorFloat, "bias_quant": Int32Bias}
    off["input_quant"] = Int8ActPerTensorFloat
    types = {f"{site.removesuffix('quant')}quant_type": "fp" for site in off}
    layer, x = QuantLinear(3, 2, **off, **types), torch.randn(4, 3)
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


def test_attributes_make_a_quantizer_of_none():
    words = {"quant_type": "int", "scaling_impl_type": "stats", "scaling_stats_op": "max"}
    words |= {"signed": True, "narrow_range": True, "bit_width": 8}
    own = {f"weight_{key}": item for key, item in words.items()}
    layer = QuantLinear(3, 2, weight_quant=NoneWeightQuant, **own)
    expected = QuantLinear(3, 2, weight_quant=Int8WeightPerTensorFloat)
    expected.load_state_dict(layer.state_dict(), strict=True)
    assert torch.equal(layer.quant_weight().value, expected.quant_weight().value)


def test_an_activation_without_quantizer_keeps_its_function():
    x = torch.randn(4)
    out = QuantIdentity(NoneActQuant, return_quant_tensor=True)(x)
    assert torch.equal(out.value, x) and out.missing
    assert torch.equal(QuantReLU(NoneActQuant)(x), x.relu())
