"""Scales per channel that do not fit a layer are refused when it is built."""

import pytest

from qat.nn import QuantConv2d, QuantConvTranspose2d, QuantEmbedding, QuantLinear
from qat.quantizers import (
    Int8BiasPerTensorFloatInternalScaling,
    Int8WeightPerChannelFloat,
    Int8WeightPerChannelFloatMSE,
)

PER_CHANNEL = {"weight_quant": Int8WeightPerChannelFloat}


@pytest.mark.parametrize("quantizer", [Int8WeightPerChannelFloat, Int8WeightPerChannelFloatMSE])
@pytest.mark.parametrize("shape", [(3, 1, 1, 1), (4,), (1, 4, 1, 1), (4, 1, 1)])
def test_shape_that_does_not_broadcast_to_the_weight_is_refused(shape, quantizer):
    with pytest.raises(
        ValueError,
        match=r"^QuantConv2d: weight_quant: per_channel_broadcastable_shape is .* parameter of "
        r"shape \(4, 3, 2, 2\); leave it out, or give 1",
    ):
        QuantConv2d(3, 4, 2, weight_quant=quantizer, weight_per_channel_broadcastable_shape=shape)


def test_shape_of_the_bias_is_checked_too():
    with pytest.raises(
        ValueError, match=r"QuantLinear: bias_quant: .* parameter of shape \(2,\); leave"
    ):
        QuantLinear(
            3,
            2,
            bias_quant=Int8BiasPerTensorFloatInternalScaling,
            bias_scaling_per_output_channel=True,
            bias_per_channel_broadcastable_shape=(3,),
        )


def test_scale_of_another_dimension_needs_the_order_of_dimensions():
    by_input = {**PER_CHANNEL, "weight_per_channel_broadcastable_shape": (1, 3, 1, 1)}
    with pytest.raises(
        ValueError,
        match=r"has the shape \(1, 3, 1, 1\), but its statistic \(4, 1, 1, 1\), .* give weight_sc",
    ):
        QuantConv2d(3, 4, 2, **by_input)
    conv = QuantConv2d(3, 4, 2, **by_input, weight_scaling_stats_permute_dims=(1, 0, 2, 3))
    assert conv.quant_weight_scale().shape == (1, 3, 1, 1)
    constant = {"weight_scaling_impl_type": "CONST", "weight_scaling_const": 1.0}
    assert QuantConv2d(3, 4, 2, **by_input, **constant).quant_weight_scale().shape == (1, 3, 1, 1)


def test_scale_that_would_land_on_another_dimension_is_refused():
    # (4,) broadcasts along the inputs, of which there are as many as outputs
    with pytest.raises(ValueError, match=r"QuantLinear: weight_quant: .* its statistic \(4, 1\)"):
        QuantLinear(4, 4, **PER_CHANNEL, weight_per_channel_broadcastable_shape=(4,))


def test_shape_that_fits_is_taken():
    conv = QuantConv2d(3, 4, 2, **PER_CHANNEL, weight_per_channel_broadcastable_shape=(4, 1, 1, 1))
    assert conv.quant_weight_scale().shape == (4, 1, 1, 1)


def test_layers_of_different_widths_do_not_share_a_scale_per_channel():
    first = QuantLinear(3, 4, **PER_CHANNEL)
    with pytest.raises(ValueError, match="^QuantLinear: weight_quant: .* of shape .5, 3.; leave"):
        QuantLinear(3, 5, weight_quant=first.weight_quant)
    assert first.weight_quant.tracked_modules == [first]
    QuantLinear(3, 4, weight_quant=first.weight_quant)


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: QuantConvTranspose2d(4, 6, 3, groups=2, **PER_CHANNEL), (1, 3, 1, 1)),
        (lambda: QuantEmbedding(7, 2, **PER_CHANNEL), (7, 1)),
    ],
)
def test_default_shape_follows_the_layer(build, shape):
    assert build().quant_weight_scale().shape == shape
