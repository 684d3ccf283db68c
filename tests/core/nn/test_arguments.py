"""Arguments that a layer refuses, and what it says."""

import pytest
import torch
from torch import nn

from qat.components import ConstScaling, TernaryQuant
from qat.inject import DependencyError, ExtendedInjector
from qat.nn import (
    QuantAdaptiveAvgPool2d,
    QuantAvgPool2d,
    QuantConv2d,
    QuantEltwiseAdd,
    QuantIdentity,
    QuantLinear,
    QuantReLU,
)
from qat.quantizers import Int8ActPerTensorFloat, Int8WeightPerTensorFloat


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
