"""Mean bit widths and their penalty; numbers worked out by hand."""

import pytest
import torch
from torch import nn

from qat.nn import QuantConv2d, QuantIdentity, QuantLinear
from qat_cli.engine.step.bit_width_penalty import WithPenalty, bit_costs, learned_bit_costs
from qat_cli.errors import UserError
from qat_cli.recipes.schema import TrainConfig

LEARNED = {"weight_bit_width_impl_type": "parameter"}


def model():
    """A convolution of 2 * 9 weights at 16 places, 4 bits; a classifier of 10 weights, 8 bits."""
    return nn.Sequential(
        QuantIdentity(bit_width=6),
        QuantConv2d(1, 2, 3, padding=1, weight_bit_width=4, **LEARNED),
        nn.AvgPool2d(4),
        nn.Flatten(),
        QuantLinear(2, 5, weight_bit_width=8, **LEARNED),
    )


def image():
    return torch.zeros(1, 1, 4, 4)


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [("size", (18 * 4 + 10 * 8) / 28), ("macs", (16 * 18 * 4 + 10 * 8) / (16 * 18 + 10))],
)
def test_a_weight_counts_once_or_as_often_as_it_is_multiplied(weighting, expected):
    figures = bit_costs(model(), image(), weighting).figures()
    assert figures == {"weight_bits": pytest.approx(expected), "activation_bits": 6.0}


def test_the_gradient_of_the_penalty_is_the_share_of_each_layer():
    net = model()
    objective = WithPenalty(
        lambda net, images, labels: (torch.zeros(()), images), bit_costs(net, image(), "size"), 0.5
    )
    loss, _ = objective(net, image(), torch.zeros(1))
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * (18 * 4 + 10 * 8) / 28)  # activations learn none
    offsets = [p for name, p in net.named_parameters() if name.endswith("bit_width_offset")]
    assert [float(p.grad) for p in offsets] == pytest.approx([0.5 * 18 / 28, 0.5 * 10 / 28])


def test_what_is_switched_off_does_not_count_and_modes_come_back():
    net = model().train()
    net[1].weight_quant.disable_quant = True
    costs = bit_costs(net, image(), "size")
    assert costs.figures()["weight_bits"] == 8.0
    assert costs.by_quantizer() == {"0.act_quant": 6, "4.weight_quant": 8}
    assert all(module.training for module in net.modules())
    net[1].weight_quant.disable_quant = False
    assert costs.by_quantizer()["1.weight_quant"] == 4  # counted all the same


def test_a_penalty_without_a_learned_bit_width_is_refused():
    net = nn.Sequential(nn.Flatten(), QuantLinear(16, 2))
    with pytest.raises(UserError, match="bit_width_impl_type: parameter"):
        learned_bit_costs(net, image(), TrainConfig(bit_width_penalty=0.1))
