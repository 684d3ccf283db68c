"""Operands of products, quantized where a rule names the product."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model
from qat.nn import QuantIdentity

EVERYTHING = Rule("quant", LayerMatch(), {Role.WEIGHT: QuantizerChoice("Int8WeightPerTensorFloat")})
INPUT = {Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat")}

PRODUCTS = {
    "matmul": lambda x: x @ x.transpose(1, 2),
    "bmm": lambda x: torch.bmm(x, x.transpose(1, 2)),
    "einsum": lambda x: torch.einsum("bij,bkj->bik", x, x * 2),
    "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "mul": lambda x: x * torch.sigmoid(x),
}


class Product(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.linear, self.product = nn.Linear(4, 4), PRODUCTS[kind]

    def forward(self, x):
        return self.product(self.linear(x))


def operands(model):
    return [name for name, m in model.named_modules() if isinstance(m, QuantIdentity)]


@pytest.mark.parametrize("kind", PRODUCTS)
def test_rule_of_the_type_quantizes_every_operand(kind):
    x = torch.randn(2, 3, 4)
    rule = Rule("product", LayerMatch(module_type=kind), INPUT)
    result = quantize_model(Product(kind), [EVERYTHING, rule], x)
    count = 3 if kind.startswith("scaled") else 2
    assert operands(result.model) == [f"{kind}.operand_{index}" for index in range(count)]
    assert {row.name: row.input for row in result.layers}[kind] == "8 bit Int8ActPerTensorFloat"
    result.model(x).sum().backward()


@pytest.mark.parametrize("match", [LayerMatch(), LayerMatch(name="*"), LayerMatch(name="lin*")])
def test_rule_that_speaks_of_more_leaves_products_in_float(match):
    result = quantize_model(
        Product("matmul"), [EVERYTHING, Rule("inputs", match, INPUT)], torch.randn(2, 3, 4)
    )
    assert operands(result.model) == []
    assert "in float: matmul in the model itself" in result.notes


def test_rule_of_the_very_name_quantizes_the_operands():
    rule = Rule("one", LayerMatch(name="matmul"), INPUT)
    result = quantize_model(Product("matmul"), [EVERYTHING, rule], torch.randn(2, 3, 4))
    assert len(operands(result.model)) == 2
