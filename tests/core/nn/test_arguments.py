"""Arguments that a layer takes, and those that it refuses."""

import pytest
import torch
from torch import nn

from qat.components import ConstScaling, TernaryQuant
from qat.inject import DependencyError, ExtendedInjector, this, value
from qat.nn import (
    QuantAdaptiveAvgPool2d,
    QuantAvgPool2d,
    QuantConv2d,
    QuantConvTranspose2d,
    QuantEltwiseAdd,
    QuantEmbedding,
    QuantIdentity,
    QuantLinear,
    QuantReLU,
)
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8BiasPerTensorFloatInternalScaling,
    Int8WeightPerChannelFloat,
    Int8WeightPerChannelFloatMSE,
    Int8WeightPerTensorFloat,
    Int32Bias,
    SignedBinaryActPerTensorConst,
)


@pytest.mark.parametrize("name", ["bit_width", "wieght_bit_width", "act_quant"])
@pytest.mark.parametrize(
    "make", [lambda **k: QuantConv2d(3, 2, 3, **k), lambda **k: QuantLinear(3, 2, **k)]
)
def test_keyword_without_a_role_in_front_is_refused(make, name):
    with pytest.raises(
        TypeError, match=f"no argument {name}; .* start with weight_, bias_, input_"
    ):
        make(**{name: 4})


@pytest.mark.parametrize(
    "make",
    [
        lambda **k: QuantEltwiseAdd(**k),
        lambda **k: QuantAvgPool2d(2, **k),
        lambda **k: QuantAdaptiveAvgPool2d(1, **k),
    ],
)
def test_other_layers_refuse_unknown_keywords(make):
    with pytest.raises(TypeError, match="has no argument bit_width"):
        make(bit_width=4)


def test_identity_has_no_input_quantizer():
    with pytest.raises(TypeError, match="input_quant"):
        QuantIdentity(input_quant=Int8ActPerTensorFloat)


@pytest.mark.parametrize("role", ["weight", "bias", "input", "output"])
def test_override_without_a_quantizer_is_refused(role):
    quantizers = {"weight_quant": None, f"{role}_bit_width": 4}
    with pytest.raises(ValueError, match=f"bit_width would change a quantizer, but {role}_quant"):
        QuantLinear(3, 2, **quantizers)


def test_override_of_an_activation_without_quantizer_is_refused():
    with pytest.raises(
        ValueError, match="bit_width would change a quantizer, but act_quant is None"
    ):
        QuantReLU(act_quant=None, bit_width=4)


def test_override_of_an_input_quantizer_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="bit_width would change a quantizer, but input_quant"):
        QuantReLU(input_bit_width=4)


def test_override_of_a_shared_proxy_is_refused():
    first = QuantLinear(3, 2)
    with pytest.raises(ValueError, match="shared proxy, which bit_width cannot change"):
        QuantLinear(3, 2, weight_quant=first.weight_quant, weight_bit_width=4)
    assert first.weight_quant.tracked_modules == [first]


def test_proxy_of_another_role_is_refused():
    relu = QuantReLU()
    with pytest.raises(TypeError, match="weight_quant is a ActQuantProxy.* WeightQuantProxy"):
        QuantLinear(3, 2, weight_quant=relu.act_quant)
    assert relu.act_quant.tracked_modules == [relu]


def test_activation_shares_only_with_its_own_kind():
    identity, relu = QuantIdentity(), QuantReLU()
    with pytest.raises(
        ValueError, match="QuantReLU: the shared act_quant applies no function, not"
    ):
        QuantReLU(act_quant=identity.act_quant)
    with pytest.raises(ValueError, match="QuantIdentity: the shared act_quant applies ReLU, not"):
        QuantIdentity(act_quant=relu.act_quant)
    assert QuantReLU(act_quant=relu.act_quant).act_quant is relu.act_quant


def test_from_float_refuses_a_layer_of_another_class():
    with pytest.raises(TypeError, match="QuantConv2d.from_float takes a Conv2d, not a Linear"):
        QuantConv2d.from_float(nn.Linear(3, 2))


@pytest.mark.parametrize("wrong", [8, "Int8WeightPerTensorFloat", nn.Identity(), nn.Identity])
def test_what_is_no_quantizer_is_refused(wrong):
    with pytest.raises(TypeError, match="give a quantizer class such as those of qat.quantizers"):
        QuantLinear(3, 2, weight_quant=wrong)


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("scaling_impl_type", "'const', .*'parameter', 'parameter_from_stats', 'stats'"),
        ("restrict_scaling_type", "'fp', .*'log_fp', .*'power_of_two'"),
        ("scaling_stats_op", "'max'"),
    ],
)
def test_unknown_choice_lists_the_known_ones(name, choices):
    with pytest.raises(ValueError, match=f"{name} is 'nonsense'; choose one of .*{choices}"):
        QuantLinear(3, 2, **{f"weight_{name}": "nonsense"})


@pytest.mark.parametrize("bits", [0, 33, 2.5, "8"])
def test_bit_width_outside_its_range_is_refused(bits):
    with pytest.raises(ValueError, match="must be a whole number from 1 to 32"):
        QuantLinear(3, 2, weight_bit_width=bits)


def test_quantizer_that_lacks_a_part_names_it_and_the_way_to_it():
    class WithoutThreshold(ExtendedInjector):
        tensor_quant = TernaryQuant
        scaling_impl = ConstScaling
        scaling_init = 0.1

    with pytest.raises(
        DependencyError,
        match="'WithoutThreshold' can ?not resolve attribute 'threshold' .needed by tensor_quant",
    ):
        QuantLinear(3, 2, weight_quant=WithoutThreshold)


def test_choices_are_taken_by_name_in_any_case():
    layer = QuantLinear(3, 2, weight_scaling_impl_type="CONST", weight_scaling_const=1.27)
    torch.testing.assert_close(layer.quant_weight_scale(), torch.tensor(0.01))


def test_a_quantizer_may_name_its_own_proxy_class():
    from qat.proxy import WeightQuantProxyFromInjector

    class Proxy(WeightQuantProxyFromInjector):
        pass

    class Quantizer(Int8WeightPerTensorFloat):
        proxy_class = Proxy

    assert type(QuantLinear(3, 2, weight_quant=Quantizer).weight_quant) is Proxy


# Keywords that no quantizer knows


@pytest.mark.parametrize(
    ("build", "wrong", "meant"),
    [
        (lambda **k: QuantLinear(3, 2, **k), "weight_bitwidth", "weight_bit_width"),
        (lambda **k: QuantConv2d(3, 2, 1, **k), "weight_scaling_imp_type", "scaling_impl_type"),
        (lambda **k: QuantEmbedding(3, 2, **k), "weight_narow_range", "weight_narrow_range"),
        (
            lambda **k: QuantLinear(3, 2, input_quant=Int8ActPerTensorFloat, **k),
            "input_colect_stats_steps",
            "input_collect_stats_steps",
        ),
        (
            lambda **k: QuantLinear(3, 2, output_quant=Int8ActPerTensorFloat, **k),
            "output_bit_widht",
            "output_bit_width",
        ),
        (lambda **k: QuantLinear(3, 2, bias_quant=Int32Bias, **k), "bias_bitwidth", "bit_width"),
        (lambda **k: QuantReLU(**k), "bitwidth", "bit_width"),
        (lambda **k: QuantIdentity(**k), "scaling_stat_op", "scaling_stats_op"),
        (lambda **k: QuantEltwiseAdd(**k), "input_bitwidth", "input_bit_width"),
    ],
)
def test_misspelt_keyword_is_refused_with_the_one_that_was_meant(build, wrong, meant):
    with pytest.raises(TypeError, match=f"has no argument {wrong}: .*did you mean .*{meant}\\?"):
        build(**{wrong: 4})


def test_a_keyword_that_is_like_no_other_becomes_an_attribute_of_the_quantizer():
    layer = QuantLinear(3, 2, weight_zzz=4)
    assert layer.weight_quant.injector.zzz == 4


def test_what_was_meant_is_looked_for_in_the_quantizer_of_the_user_first():
    class Own(Int8WeightPerTensorFloat):
        bit_widths = 4

    with pytest.raises(TypeError, match="did you mean weight_bit_widths"):
        QuantLinear(3, 2, weight_quant=Own, weight_bit_widthss=4)


@pytest.mark.parametrize(
    ("build", "keywords"),
    [
        # read by another scaling_impl_type, or by another arithmetic, than this one
        (lambda **k: QuantLinear(3, 2, **k), {"weight_scaling_const": 1.0}),
        (lambda **k: QuantLinear(3, 2, **k), {"weight_threshold": 0.5}),
        (lambda **k: QuantLinear(3, 2, **k), {"weight_collect_stats_steps": 3}),
        (lambda **k: QuantReLU(**k), {"min_val": 0.0, "max_val": 6.0}),
        (
            lambda **k: QuantIdentity(SignedBinaryActPerTensorConst, **k),
            {"bit_width": 1, "narrow_range": True, "high_percentile_q": 99.0},
        ),
        # nothing is quantized, there being no bias
        (
            lambda **k: QuantLinear(3, 2, bias=False, bias_quant=Int32Bias, **k),
            {"bias_bit_width": 16},
        ),
    ],
)
def test_what_some_quantizer_knows_is_taken_also_where_it_has_no_effect(build, keywords):
    build(**keywords)


class Own(Int8WeightPerTensorFloat):
    """Reads ``coarse_bits`` under a condition only; ``remark`` is declared and never read."""

    is_coarse = False
    remark = "none"

    @value
    def bit_width(is_coarse):
        return this.coarse_bits if is_coarse else 8


class OwnDeclared(Own):
    coarse_bits = 3


def test_what_a_quantizer_declares_can_be_replaced_whether_it_is_read_or_not():
    layer = QuantLinear(3, 2, weight_quant=OwnDeclared, weight_coarse_bits=2, weight_remark="x")
    assert layer.weight_quant.bit_width() == 8


def test_what_is_read_without_being_declared_can_be_given():
    layer = QuantLinear(3, 2, weight_quant=Own, weight_is_coarse=True, weight_coarse_bits=2)
    assert layer.weight_quant.bit_width() == 2


def test_arguments_of_a_quantizers_own_parts_and_functions_can_be_given():
    class Part(torch.nn.Module):
        def __init__(self, half_step=0.0):
            super().__init__()
            self.half_step = half_step

    class WithPart(Int8WeightPerTensorFloat):
        part = Part

        @value
        def narrow_range(is_symmetric=True):
            return is_symmetric

    QuantLinear(3, 2, weight_quant=WithPart, weight_half_step=0.5, weight_is_symmetric=False)


def test_an_injector_from_scratch_knows_what_it_reads():
    class Doubling(torch.nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def forward(self, x):
            return x * self.factor, torch.ones(()), torch.zeros(()), torch.ones(())

    class Scratch(ExtendedInjector):
        tensor_quant = Doubling

    assert QuantIdentity(Scratch, factor=2.0)(torch.ones(1)) == 2.0
    with pytest.raises(TypeError, match="QuantIdentity has no argument factr: Scratch .* factor"):
        QuantIdentity(Scratch, factor=2.0, factr=3.0)


@pytest.mark.parametrize("arguments", [(), (True,)])
def test_a_quantizer_by_position_is_not_taken_for_an_argument_of_the_float_layer(arguments):
    with pytest.raises(TypeError, match="as weight_quant=Int8WeightPerTensorFloat"):
        QuantLinear(3, 2, *arguments, Int8WeightPerTensorFloat)


# Scales per channel

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
