"""Ranges of quantizers that are called several times in one forward pass."""

import pytest
import torch
from torch import nn

from qat.components.one_pass import one_pass
from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model
from qat.nn import QuantCat, QuantEltwiseAdd, QuantIdentity
from qat.ptq import calibration_mode
from qat.quantizers import Int8ActPerTensorFloat, ShiftedUint8ActPerTensorFloat

pytestmark = pytest.mark.usefixtures("backend")
MAX = Int8ActPerTensorFloat.let(scaling_stats_op="max", collect_stats_steps=10)


def batch(largest, batches=(1.0, 3.0)):
    """Two batches whose largest magnitude is ``largest`` times 1 and 3."""
    return [torch.linspace(-largest, largest, 9).reshape(1, 9) * factor for factor in batches]


def in_training(layer, calls):
    layer.train()
    for arguments in calls:
        layer(*arguments)
    return layer.eval()


def in_calibration(layer, calls):
    with torch.no_grad(), calibration_mode(layer):
        for arguments in calls:
            layer(*arguments)
    return layer.eval()


@pytest.fixture(params=[in_training, in_calibration], ids=["training", "calibration"])
def collected(request):
    return request.param


def test_operands_of_a_sum_have_the_range_of_the_larger_averaged_over_batches(collected):
    quant = MAX.let(scaling_stats_momentum=None)
    for order in (1, -1):
        pairs = [
            (small, large)[::order] for small, large in zip(batch(1.0), batch(10.0), strict=True)
        ]
        layer = collected(QuantEltwiseAdd(quant, None), pairs)
        assert layer.input_quant.scale().item() == pytest.approx((10 + 30) / 2 / 128)


def test_parts_of_a_concatenation_have_the_range_of_the_largest(collected):
    quant = MAX.let(scaling_stats_momentum=None)
    parts = [(list(each),) for each in zip(batch(1.0), batch(10.0), batch(4.0), strict=True)]
    layer = collected(QuantCat(quant, None), parts)
    assert layer.input_quant.scale().item() == pytest.approx(20 / 128)


def test_quantizer_counts_passes_and_not_calls():
    layer = QuantIdentity(MAX).train()
    with one_pass():
        for x in batch(1.0, (1.0, 2.0, 0.5)):
            layer(x)
    scaling = layer.act_quant.tensor_quant.scaling_impl
    assert (int(scaling.counter), scaling.buffer.item()) == (1, 2.0)
    layer(batch(1.0)[0])  # outside of any pass: one of its own
    assert int(scaling.counter) == 2


def test_the_last_pass_that_is_collected_counts_all_of_its_calls():
    first, last = (torch.tensor([1.0, 2.0]), torch.tensor([4.0, 0.0])), (torch.ones(2) * 8,) * 2
    layer = QuantEltwiseAdd(MAX.let(collect_stats_steps=2, scaling_stats_momentum=None), None)
    for operands in (first, first[::-1], last):
        layer(*operands)
    assert layer.input_quant.scale().item() == pytest.approx(4 / 128)


def test_a_grid_with_a_zero_point_holds_both_ends_of_all_operands(collected):
    quant = ShiftedUint8ActPerTensorFloat.let(
        scaling_stats_op="min_max", scaling_stats_momentum=None, zero_point_stats_momentum=None,
        collect_stats_steps=10,
    )  # fmt: skip
    above, around, far = torch.tensor([0.0, 5.0]), torch.tensor([-3.0, 3.0]), torch.ones(2)
    for operands in ((above, around), (around, above)):
        layer = collected(QuantEltwiseAdd(quant, None), [operands, (2 * operands[0], far)])
        lows = [min(0.0, -3.0), 2 * float(operands[0].min())]
        highs = [5.0, 2 * float(operands[0].max())]
        width = (sum(highs) - sum(lows)) / 2
        assert layer.input_quant.scale().item() == pytest.approx(width / 255)
        zero = layer.input_quant.zero_point().item()
        assert zero == pytest.approx(-sum(lows) / 2 / (width / 255), abs=0.51)


class Shared(nn.Module):
    """One activation at two places with very different ranges."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(9, 9, bias=False)
        self.relu = nn.ReLU()
        nn.init.eye_(self.linear.weight)

    def forward(self, x):
        return self.relu(self.linear(x)) + self.relu(self.linear(x) * 10) * 0.1


def test_layer_that_is_called_at_two_places_has_the_range_of_the_larger(collected):
    act = QuantizerChoice("Uint8ActPerTensorFloat", {"scaling_stats_op": "max"})
    weight = QuantizerChoice("Int8WeightPerTensorFloat", {"bit_width": 16})
    inputs = QuantizerChoice("Int8ActPerTensorFloat", {"scaling_stats_op": "max"})
    rule = Rule(
        "quant", LayerMatch(), {Role.WEIGHT: weight, Role.INPUT: inputs, Role.ACTIVATION: act}
    )
    x = batch(1.0, (1.0,))[0]
    result = quantize_model(Shared(), [rule], x)
    shared = [name for name, m in result.model.named_modules() if name == "linear.input_quant"]
    assert shared
    model = collected(result.model, [(x,)])
    assert model.linear.input_quant.scale().item() == pytest.approx(1 / 128)


def test_sum_of_a_small_and_a_large_operand_is_not_clipped(collected):
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(9, 9), nn.Linear(9, 9)

        def forward(self, x):
            return self.a(x) * 10 + self.b(x)

    torch.manual_seed(0)
    choices = {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerChannelFloat"),
        Role.ADD: QuantizerChoice("Int8ActPerTensorFloat", {"scaling_stats_op": "max"}),
    }
    model, x = Sum(), torch.randn(64, 9)
    wanted = model(x)
    made = collected(quantize_model(model, [Rule("quant", LayerMatch(), choices)], x).model, [(x,)])
    assert made(x).abs().max() > 0.98 * wanted.abs().max()
