"""Multi-head attention inside a model: found, quantized, shown, trained."""

import pytest
import torch
from torch import nn

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model
from qat.nn import QuantMultiheadAttention

WEIGHT = QuantizerChoice("Int8WeightPerChannelFloat")
SIGNED = QuantizerChoice("Int8ActPerTensorFloat")
EVERYTHING = Rule("quant", LayerMatch(), {Role.WEIGHT: WEIGHT, Role.INPUT: SIGNED})


class Block(nn.Module):
    """Norm, attention of a sequence to itself, an addition, a classifier of the mean."""

    def __init__(self, bias=True):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, bias=bias, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        y = self.norm(x)
        y, _ = self.attention(y, y, y, need_weights=False)
        return self.fc((x + y).mean(1))


class ForwardThatDoesNotTrace(Block):
    def forward(self, x):
        return super().forward(x if x.sum() < 1e9 else -x)


@pytest.fixture
def x():
    return torch.randn(2, 5, 8)


@pytest.fixture(params=[Block, ForwardThatDoesNotTrace], ids=["traced", "modules only"])
def block(request):
    torch.manual_seed(0)
    return request.param()


def test_every_operand_of_every_product_is_quantized(block, x):
    attention = quantize_model(block, [EVERYTHING], x).model.attention
    assert isinstance(attention, QuantMultiheadAttention)
    operands = [attention.q_scaled_quant, attention.k_transposed_quant, attention.v_quant]
    operands += [attention.attn_output_weights_quant]
    for linear in (attention.in_proj, attention.out_proj):
        operands += [linear.weight_quant, linear.input_quant]
    assert all(operand.is_quant_enabled for operand in operands)


def test_attention_weights_are_unsigned_unless_the_rule_says_so(x):
    signed = Rule("more", LayerMatch(), {Role.INPUT: QuantizerChoice(None, {"signed": True})})
    for rules, expected in (([EVERYTHING], False), ([EVERYTHING, signed], True)):
        attention = quantize_model(Block(), rules, x).model.attention
        assert attention.attn_output_weights_quant.is_signed is expected
        assert attention.v_quant.is_signed


def test_the_result_is_near_the_float_one_and_shares_its_parameters(block, x):
    converted = quantize_model(block, [EVERYTHING], x).model
    converted(x)  # lets the activation quantizers see their range
    assert (converted.eval()(x) - block.eval()(x)).abs().max() < 0.05
    assert converted.attention.in_proj.weight is block.attention.in_proj_weight


def test_projections_and_products_have_rows_and_softmax_is_said_to_be_float(block, x):
    result = quantize_model(block, [EVERYTHING], x)
    rows = {row.name: row for row in result.layers}
    for part in ("in_proj", "out_proj"):
        assert rows[f"attention.{part}"].weight == "8 bit Int8WeightPerChannelFloat"
        assert rows[f"attention.{part}"].input == "8 bit Int8ActPerTensorFloat"
    assert rows["attention"].input == "8 bit Int8ActPerTensorFloat"
    assert "softmax in float" in rows["attention"].note
    assert not any("MultiheadAttention" in note for note in result.notes)


def test_a_rule_can_leave_one_attention_in_float(block, x):
    nothing = {Role.WEIGHT: None, Role.INPUT: None}
    result = quantize_model(
        block, [EVERYTHING, Rule("r", LayerMatch(module_type="MultiheadAttention"), nothing)], x
    )
    assert type(result.model.attention) is nn.MultiheadAttention
    row = next(row for row in result.layers if row.name == "attention")
    assert (row.kind, row.weight) == ("MultiheadAttention", "float")


def test_an_input_that_lies_on_a_grid_is_not_quantized_again(x):
    quantized = nn.Sequential(nn.ReLU(), Block().attention)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu, self.attention = quantized

        def forward(self, x):
            x = self.relu(x)
            return self.attention(x, x, x)[0]

    act = Rule("act", LayerMatch(), {Role.ACTIVATION: QuantizerChoice("Uint8ActPerTensorFloat")})
    attention = quantize_model(Net(), [EVERYTHING, act], x).model.attention
    assert not attention.in_proj.input_quant.is_quant_enabled
    assert attention.out_proj.input_quant.is_quant_enabled


def test_an_output_quantizer_puts_what_follows_on_a_grid(x):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.fc = nn.MultiheadAttention(8, 2), nn.Linear(8, 3)

        def forward(self, x):
            y, _ = self.attention(x, x, x)
            return self.fc(y)

    output = Rule("out", LayerMatch(name="attention"), {Role.OUTPUT: SIGNED})
    model = quantize_model(Net(), [EVERYTHING, output], x).model
    assert model.attention.out_proj.output_quant.is_quant_enabled
    assert not model.fc.input_quant.is_quant_enabled


def test_biases_are_quantized_where_the_rules_say_so(block, x):
    bias = Rule("bias", LayerMatch(), {Role.BIAS: QuantizerChoice("Int32Bias")})
    attention = quantize_model(block, [EVERYTHING, bias], x).model.attention
    assert attention.in_proj.bias_quant.is_quant_enabled
    without = quantize_model(Block(bias=False), [EVERYTHING, bias], x).model
    without(x)
    assert not without.attention.out_proj.bias_quant.is_quant_enabled


def test_learned_scales_of_attention_get_gradients(x):
    steps = Rule("r", LayerMatch(), {Role.INPUT: QuantizerChoice(None, {"collect_stats_steps": 1})})
    model = quantize_model(Block(), [EVERYTHING, steps], x).model.train()
    model(x)
    model(x).square().sum().backward()
    scales = [p for name, p in model.attention.named_parameters() if "scaling" in name]
    assert len(scales) == 6  # two projections' inputs, q, k, v, and the attention weights
    assert all(scale.grad is not None and scale.grad.abs().sum() > 0 for scale in scales)


def test_an_attribute_without_effect_is_refused_with_the_name_of_the_layer(x):
    wrong = Rule("r", LayerMatch(), {Role.WEIGHT: QuantizerChoice(None, {"bit_widht": 4})})
    with pytest.raises(ValueError, match=r"attention.*did you mean 'bit_width'"):
        quantize_model(Block(), [EVERYTHING, wrong], x)
