"""How costs are written for a reader."""

import pytest

from qat.costs import Costs, LayerCost, NotCounted, ScaleRange
from qat_cli.commands.views.costs import quantity, show_costs
from qat_cli.terminal.console import Console

LAYERS = [
    LayerCost("conv", "QuantConv2d", 4, 8, 1000, 4064, 32000, 2_000_000, 6.4e7),
    LayerCost("bn", "BatchNorm2d", None, None, 20, 1280, 1280, 0, 0),
    LayerCost("fc", "QuantLinear", 1, 2, 10, 42, 320, 10, 20, ScaleRange(2, 0.1, 0.25)),
]
COSTS = Costs(LAYERS, [NotCounted("native_batch_norm", 1, 20)], ["aux"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(40_813_184, "40.8 M"), (3.13e9, "3.13 G"), (152_000, "152 k"), (640, "640"), (0, "0")],
)
def test_quantities_have_three_digits_and_a_unit(value, text):
    assert quantity(value) == text


def test_layers_without_products_are_one_row_and_columns_add_up(capsys):
    show_costs("a title", COSTS, Console(), with_scales=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a title"
    cells = {line.split("  ")[0]: line.split() for line in lines}
    assert cells["conv"] == ["conv", "Conv2d", "4", "x", "8", "1.00", "508", "2.00", "64.00"]
    assert cells["fc"][-4:] == ["0.01", "5", "<0.01", "<0.01"]
    assert cells["1 others"][2:] == ["0.02", "160", "0.00", "0.00"]
    assert cells["total"] == ["total", "1.03", "673", "2.00", "64.00"]
    assert "not counted  1 batch_norm" in lines and "not reached  aux" in lines


def test_scales_stand_in_place_of_parameters(capsys):
    show_costs("", COSTS, Console(), with_scales=True)
    out = capsys.readouterr().out
    assert "0.1..0.25" in out and "params" not in out
