"""Keywords that no quantizer knows are refused when the layer is built; all others stay allowed."""

import pytest
import torch

from qat.inject import ExtendedInjector, this, value
from qat.nn import (
    QuantConv2d,
    QuantEltwiseAdd,
    QuantEmbedding,
    QuantIdentity,
    QuantLinear,
    QuantReLU,
)
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    SignedBinaryActPerTensorConst,
)


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


def test_a_keyword_that_is_like_no_other_says_what_to_do():
    with pytest.raises(TypeError, match="has no argument weight_zzz: .* leave it out, or declare"):
        QuantLinear(3, 2, weight_zzz=4)


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
