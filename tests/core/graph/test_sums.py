"""Sums of tensors with a grid each, and factors that stay float."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule
from qat.nn import QuantEltwiseAdd
from qat.ptq import calibration_mode

SIGNED = QuantizerChoice("Int8ActPerTensorFloat")
CHOICES = {
    Role.WEIGHT: QuantizerChoice("Int8WeightPerTensorFloat"),
    Role.INPUT: SIGNED,
    Role.ACTIVATION: QuantizerChoice("Uint8ActPerTensorFloat"),
    Role.ADD: SIGNED,
}


def rule(choices, match=None, **kwargs):
    return Rule("quant", match or LayerMatch(), choices, **kwargs)


OWN = rule(CHOICES, add_grid="own")


class Linear(nn.Module):
    """Sums in a row with nothing between them: the inverted residuals of mobile networks."""

    def __init__(self, sums):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(sums))
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        x = self.stem(x)
        for conv in self.convs:
            x = x + 0.01 * conv(x)
        return self.head(x)


class Gated(nn.Module):
    """Squeeze and excite."""

    def __init__(self):
        super().__init__()
        self.conv, self.squeeze, self.last = (nn.Conv2d(3, 3, 1) for _ in range(3))
        self.swish, self.gate, self.after = nn.SiLU(), nn.Sigmoid(), nn.ReLU()

    def forward(self, x):
        x = self.swish(self.conv(x))
        gate = self.gate(self.squeeze(F.adaptive_avg_pool2d(x, 1)))
        return self.last(self.after(x * gate))


def kinds_of(result):
    return {row.name: row for row in result.layers}


def proxies_of(model):
    """Which of the three quantizers each sum has."""
    sums = [module for module in model.modules() if isinstance(module, QuantEltwiseAdd)]
    parts = [(each.input_quant, each.other_quant, each.output_quant) for each in sums]
    return [tuple(proxy.is_quant_enabled for proxy in three) for three in parts]


def test_an_operand_on_a_grid_is_not_rounded_again(convert, small_net):
    result = convert(small_net, OWN)
    assert proxies_of(result.model) == [(True, False, False)]  # the ReLU has rounded the other
    assert kinds_of(result)["add"].input.startswith("8 bit")


def test_a_sum_is_rounded_once_for_all_that_read_it(convert):
    result = convert(Linear(2), OWN)
    assert proxies_of(result.model) == [(True, True, True), (False, True, True)]
    rows = kinds_of(result)
    assert rows["stem"].input.startswith("8 bit")
    assert (rows["convs.1"].input, rows["head"].input) == ("-", "-")
    assert rows["add"].activation.startswith("8 bit")


def test_a_small_operand_keeps_its_steps(convert):
    torch.manual_seed(0)
    model, x = Linear(2), torch.randn(16, 3, 6, 6)
    wanted, noise = model(x).detach(), []
    for rules in ((OWN,), (OWN, rule({}, LayerMatch("add"), add_grid="shared"))):
        made = convert(model, *rules).model.eval()
        with torch.no_grad(), calibration_mode(made):
            made(x)
        noise.append(float((made(x).detach() - wanted).square().mean()))
    assert noise[0] < noise[1]


@pytest.mark.parametrize("sums", [4, 5])
def test_many_sums_in_a_row_are_a_stream(sums, convert):
    result = convert(Linear(sums), OWN)
    shown = [row.input for row in result.layers if "add" in row.name]
    assert len(shown) == sums
    assert all(text == "float" for text in shown) is (sums == 5)
    by_type = rule({Role.ADD: SIGNED}, LayerMatch("add"))
    assert len(proxies_of(convert(Linear(sums), OWN, by_type).model)) == sums


def test_an_activation_that_only_products_read_stays_in_float(convert):
    rows = kinds_of(convert(Gated(), OWN))
    for name in ("swish", "gate"):
        assert rows[name].activation == "float"
        assert rows[name].note == "only products read it: a rule by name quantizes it"
    assert rows["after"].activation.startswith("8 bit") and not rows["after"].note
    assert rows["squeeze"].input.startswith("8 bit")
    by_name = rule({Role.ACTIVATION: SIGNED}, LayerMatch(name="gate"))
    rows = kinds_of(convert(Gated(), OWN, by_name))
    assert rows["gate"].activation.startswith("8 bit") and rows["swish"].activation == "float"
