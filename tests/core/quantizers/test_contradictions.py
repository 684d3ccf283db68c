"""Contradictory options, refused when a layer is built."""

import re

import pytest
import torch

from qat import quantizers as q
from qat.inject import DependencyError
from qat.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU


def linear(**overrides):
    return QuantLinear(12, 4, **overrides)


def activation(act_quant=q.Int8ActPerTensorFloat, **overrides):
    return QuantIdentity(act_quant=act_quant, **overrides)


def shifted_weight(**overrides):
    return linear(weight_quant=q.ShiftedUint8WeightPerTensorFloat, **overrides)


def float_weight(**overrides):
    return linear(weight_quant=q.Fp8e4m3WeightPerTensorFloat, **overrides)


def grouped_weight(**overrides):
    return linear(weight_scaling_per_output_type="group", **overrides)


#: What is built -> the error, and what its text says: layer and argument, value, remedy.
REFUSED = {
    "bit width 0": (
        lambda: linear(weight_bit_width=0),
        ValueError,
        "QuantLinear: weight_quant: bit_width is 0; it must be a whole number from 1 to 32",
    ),
    "negative bit width": (
        lambda: linear(weight_bit_width=-1),
        ValueError,
        "QuantLinear: weight_quant: bit_width is -1; it must be a whole number from 1 to 32",
    ),
    "33 bits": (
        lambda: QuantReLU(bit_width=33),
        ValueError,
        "QuantReLU: act_quant: bit_width is 33; it must be a whole number from 1 to 32",
    ),
    "half a bit": (
        lambda: QuantReLU(bit_width=2.5),
        ValueError,
        "QuantReLU: act_quant: bit_width is 2.5; it must be a whole number",
    ),
    "bit width in words": (
        lambda: linear(weight_bit_width="8"),
        ValueError,
        "QuantLinear: weight_quant: bit_width is '8'; it must be a whole number",
    ),
    "one bit of zero alone": (
        lambda: linear(weight_bit_width=1),
        ValueError,
        "bit_width is 1 with narrow_range, a grid that holds only 0; use bit_width 2 or more",
    ),
    "shifted and narrow": (
        lambda: shifted_weight(weight_narrow_range=True),
        ValueError,
        "QuantLinear: weight_quant: .*narrow_range",
    ),
    "shifted and signed maximum": (
        lambda: shifted_weight(weight_scaling_stats_op="signed_max"),
        (ValueError, NotImplementedError),
        "QuantLinear: weight_quant: .*signed_max",
    ),
    "a zero point from one side": (
        lambda: linear(weight_zero_point_impl_type="stats"),
        (ValueError, NotImplementedError),
        "QuantLinear: weight_quant: .*zero_point",
    ),
    "power of two of a signed statistic": (
        lambda: linear(
            weight_scaling_stats_op="signed_max", weight_restrict_scaling_type="power_of_two"
        ),
        ValueError,
        "QuantLinear: weight_quant: .*'signed_max', whose sign .*'power_of_two' cannot hold",
    ),
    "a signed statistic, and the restriction left as it is": (
        lambda: linear(weight_scaling_stats_op="signed_max"),
        ValueError,
        "QuantLinear: weight_quant: .*'signed_max', whose sign .*'fp' cannot hold",
    ),
    "learned zero point of a weight that begins nowhere": (
        lambda: shifted_weight(
            weight_scaling_impl_type="parameter",
            weight_zero_point_impl_type="parameter",
            weight_scaling_const=2.0,
        ),
        ValueError,
        "QuantLinear: weight_quant: zero_point_impl_type is 'parameter', .*give min_val",
    ),
    "a signed scale of a ternary weight": (
        lambda: linear(
            weight_quant_type="ternary",
            weight_threshold=0.5,
            weight_bit_width=2,
            weight_scaling_stats_op="signed_max",
            weight_restrict_scaling_type="signed_fp",
        ),
        ValueError,
        "QuantLinear: weight_quant: .*TernaryQuant keeps its sign .*use 'fp'",
    ),
    "a signed scale behind another one": (
        lambda: linear(
            weight_quant=q.Int8WeightPerChannelFloatDecoupled,
            weight_scaling_stats_op="signed_max",
            weight_restrict_scaling_type="signed_fp",
        ),
        ValueError,
        "QuantLinear: weight_quant: .*Decoupled.* keeps its sign .*use 'fp'",
    ),
    "two scales and a grid that holds only 0": (
        lambda: linear(weight_quant=q.Int8WeightPerChannelFloatDecoupled, weight_bit_width=1),
        ValueError,
        "QuantLinear: weight_quant: bit_width is 1 with narrow_range",
    ),
    "a weight norm per group": (
        lambda: linear(
            weight_quant=q.Int8WeightNormL2PerChannelFixedPoint,
            weight_scaling_per_output_type="group",
            weight_group_size=4,
        ),
        NotImplementedError,
        "QuantLinear: weight_quant: .*'group' with weight normalization",
    ),
    "binary of eight bits": (
        lambda: linear(weight_quant=q.SignedBinaryWeightPerTensorConst, weight_bit_width=8),
        ValueError,
        "QuantLinear: weight_quant: bit_width is 8, but SignedBinary.* always has 1; leave it out",
    ),
    "ternary of eight bits": (
        lambda: linear(weight_quant=q.TWNWeight, weight_bit_width=8),
        ValueError,
        "QuantLinear: weight_quant: bit_width is 8, but TWNWeight always has 2; leave it out",
    ),
    "float of seven bits that add to eight": (
        lambda: float_weight(weight_bit_width=7),
        ValueError,
        "QuantLinear: weight_quant: bit_width is 7, but E4M3.* takes 8; change exponent_bit_width",
    ),
    "a float with a zero point": (
        lambda: float_weight(weight_zero_point_impl_type="stats"),
        NotImplementedError,
        "QuantLinear: weight_quant: zero_point_impl_type is 'stats' and quant_type 'float'",
    ),
    "percentile above 100": (
        lambda: activation(high_percentile_q=101.0),
        ValueError,
        "QuantIdentity: act_quant: high_percentile_q is 101.0; it must be above 0 and at most 100",
    ),
    "percentile 0": (
        lambda: activation(high_percentile_q=0.0),
        ValueError,
        "QuantIdentity: act_quant: high_percentile_q is 0.0; it must be above 0 and at most 100",
    ),
    "percentiles in the wrong order": (
        lambda: activation(
            q.ShiftedUint8ActPerTensorFloat, low_percentile_q=99.0, high_percentile_q=1.0
        ),
        ValueError,
        "QuantIdentity: act_quant: .*low_percentile_q",
    ),
    "no statistics steps": (
        lambda: activation(collect_stats_steps=0),
        ValueError,
        "QuantIdentity: act_quant: collect_stats_steps is 0; it must be at least 1",
    ),
    "momentum above 1": (
        lambda: activation(scaling_stats_momentum=1.5),
        ValueError,
        "QuantIdentity: act_quant: scaling_stats_momentum is 1.5; it must be above 0 and at most 1",
    ),
    "constant scale without a number": (
        lambda: linear(weight_scaling_impl_type="const"),
        ValueError,
        "QuantLinear: weight_quant: .*needs a start: give scaling_const",
    ),
    "one number over channels, per channel": (
        lambda: linear(weight_scaling_stats_op="max_ave", weight_scaling_per_output_channel=True),
        ValueError,
        "QuantLinear: weight_quant: .*'max_ave' gives one number",
    ),
    "channel shape of another layer": (
        lambda: linear(
            weight_quant=q.Int8WeightPerChannelFloat,
            weight_per_channel_broadcastable_shape=(5, 1),
        ),
        ValueError,
        r"QuantLinear: weight_quant.* \(5, 1\), which does not .* \(4, 12\); leave .* out",
    ),
    "channel shape of too many dimensions": (
        lambda: QuantConv2d(
            3,
            2,
            3,
            weight_quant=q.Int8WeightPerChannelFloat,
            weight_per_channel_broadcastable_shape=(2, 1),
        ),
        ValueError,
        r"QuantConv2d: weight_quant.* \(2, 1\), which does not .* \(2, 3, 3, 3\); leave .* out",
    ),
    "an activation per channel without a shape": (
        lambda: activation(scaling_per_output_channel=True),
        DependencyError,
        "can not resolve .*'per_channel_broadcastable_shape'.*, for act_quant of QuantIdentity",
    ),
    "groups without a size": (
        lambda: grouped_weight(),
        ValueError,
        "QuantLinear: .*group_size is None; .*a whole number of at least 1",
    ),
    "bounds that are exchanged": (
        lambda: activation(q.Int8ActPerTensorFloatMinMaxInit, min_val=2.0, max_val=1.0),
        ValueError,
        "QuantIdentity: act_quant: min_val is 2.0, above max_val, 1.0; exchange them",
    ),
    "a learned bit width of a fixed one": (
        lambda: linear(
            weight_quant=q.SignedBinaryWeightPerTensorConst, weight_bit_width_impl_type="parameter"
        ),
        ValueError,
        "QuantLinear: weight_quant: .*'parameter', but SignedBinary.* fixed number of bits; leave",
    ),
    "a size of groups where there are none": (
        lambda: QuantLinear(8, 4, weight_group_size=4),
        ValueError,
        "QuantLinear: weight_quant: group_size is 4, .* is 'tensor'; set it to 'group'",
    ),
    "groups of none": (
        lambda: grouped_weight(weight_group_size=0),
        ValueError,
        "QuantLinear: .*group_size is 0; .*a whole number of at least 1",
    ),
    "groups along an axis that is not there": (
        lambda: grouped_weight(weight_group_size=4, weight_group_dim=2),
        ValueError,
        r"QuantLinear: .*group_dim is 2, but the tensor has 2 dimension\(s\); give one from -2",
    ),
    "rows of an activation with a learned scale": (
        lambda: activation(scaling_per_output_type="row"),
        ValueError,
        "QuantIdentity: .*'row', .* is 'parameter_from_stats'; use 'dynamic'",
    ),
    "an activation in place of a weight": (
        lambda: linear(weight_quant=q.Int8ActPerTensorFloat),
        TypeError,
        "QuantLinear: weight_quant is Int8ActPerTensorFloat, a quantizer of role 'activation'; "
        "here one of role 'weight' is needed, such as Int8WeightPerTensorFloat",
    ),
    "a weight in place of an activation": (
        lambda: QuantReLU(act_quant=q.Int8WeightPerTensorFloat),
        TypeError,
        "QuantReLU: act_quant is Int8WeightPerTensorFloat, a quantizer of role 'weight'",
    ),
    "a bias in place of a weight": (
        lambda: linear(weight_quant=q.Int32Bias),
        TypeError,
        "QuantLinear: weight_quant is Int32Bias, a quantizer of role 'bias'",
    ),
    "a weight in place of a bias": (
        lambda: linear(bias_quant=q.Int8WeightPerTensorFloat),
        TypeError,
        "QuantLinear: bias_quant is Int8WeightPerTensorFloat, a quantizer of role 'weight'",
    ),
    "a truncation in place of an activation": (
        lambda: linear(output_quant=q.TruncTo8bit),
        TypeError,
        "QuantLinear: output_quant is TruncTo8bit, a quantizer of role 'truncated accumulator'",
    ),
    "a misspelt word": (
        lambda: linear(weight_scaling_impl_type="statss"),
        ValueError,
        "QuantLinear: weight_quant: scaling_impl_type is 'statss'; .*did you mean 'stats'",
    ),
    "a misspelt argument": (
        lambda: linear(weight_bit_witdh=4),
        TypeError,
        "QuantLinear has no argument weight_bit_witdh: .*did you mean weight_bit_width",
    ),
    "a misspelt rounding": (
        lambda: linear(weight_float_to_int_impl_type="roundd"),
        ValueError,
        "QuantLinear: weight_quant: float_to_int_impl_type is 'roundd'; .*did you mean 'round'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_contradiction_is_refused_when_the_layer_is_built(case):
    build, error, text = REFUSED[case]
    with pytest.raises(error, match=text):
        build()


@pytest.mark.parametrize("case", REFUSED)
def test_the_text_says_where(case):
    build, error, _ = REFUSED[case]
    with pytest.raises(error) as raised:
        build()
    assert re.search(r"^Quant\w+|, for \w+_quant of Quant\w+$", str(raised.value))


def test_a_layer_that_can_not_share_a_quantizer_leaves_it_as_it_was():
    first = QuantLinear(12, 4, weight_quant=q.Int8WeightPerChannelFloat)
    with pytest.raises(ValueError, match="QuantLinear: weight_quant"):
        QuantLinear(12, 5, weight_quant=first.weight_quant)
    assert first.weight_quant.tracked_modules == [first]
    assert torch.isfinite(first(torch.randn(2, 12))).all()


def test_a_tensor_of_other_channels_than_declared_is_refused_with_both_numbers(backend):
    per_channel = {"scaling_per_output_channel": True, "per_channel_broadcastable_shape": (1, 3)}
    layer = QuantReLU(**per_channel, scaling_stats_permute_dims=(1, 0))
    layer(torch.rand(2, 3))
    with pytest.raises(Exception, match=r"shape \[1, 3\], but the tensor has 4 channels; give"):
        layer(torch.rand(2, 4))  # TorchScript raises an error of its own
