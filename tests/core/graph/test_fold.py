"""Merging the batch norms of a model into the layers before them."""

import pytest
import torch
from torch import nn

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, merge_batch_norms, quantize_model
from qat.nn import QuantConv2d, QuantIdentity, QuantLinear

PER_CHANNEL = Rule(
    "quant", LayerMatch(), {Role.WEIGHT: QuantizerChoice("Int8WeightPerChannelFloat")}
)


class Net(nn.Module):
    """Each kind of layer with a batch norm behind it, and functional dropout."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn1 = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.up, self.bn2 = nn.ConvTranspose2d(4, 6, 2), nn.BatchNorm2d(6, affine=False)
        self.fc, self.bn3 = nn.Linear(6, 5), nn.BatchNorm1d(5)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv(x)))
        x = self.bn2(self.up(x)).mean((2, 3))
        x = nn.functional.dropout(x, 0.5, self.training)
        return self.bn3(self.fc(x))


@pytest.fixture
def x():
    return torch.randn(4, 3, 6, 6)


def trained(model, x):
    for _ in range(3):
        model(x * 3 + 1)
    for module in model.modules():
        if getattr(module, "running_mean", None) is not None and module.affine:
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return model.eval()


def norms(model):
    return [name for name, m in model.named_modules() if "BatchNorm" in type(m).__name__]


def test_merged_model_gives_what_the_model_gives_in_evaluation(x):
    model = trained(Net(), x)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    merged = merge_batch_norms(model, x)
    assert norms(merged) == [] and merged.conv.bias is not None
    torch.testing.assert_close(merged(x), model(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("training", [True, False])
def test_merged_model_has_the_mode_of_the_model(training, x):
    model = trained(Net(), x).train(training)
    merged = merge_batch_norms(model, x)
    assert {module.training for module in merged.modules()} == {training}
    assert {module.training for module in model.modules()} == {training}


def test_merged_model_can_be_converted(x):
    model = trained(Net(), x)
    quantized = quantize_model(merge_batch_norms(model, x), [PER_CHANNEL], x)
    assert [row.kind for row in quantized.layers if row.weight != "-"] == [
        "QuantConv2d",
        "QuantConvTranspose2d",
        "QuantLinear",
    ]
    assert not any("batch norm" in note for note in quantized.notes)
    torch.testing.assert_close(quantized.model(x), model(x), rtol=0.1, atol=0.1)


def test_converted_model_can_be_merged_without_an_example(x):
    # with a scale per channel the integers of the weights stay what they were
    converted = quantize_model(trained(Net(), x), [PER_CHANNEL], x).model
    merged = merge_batch_norms(converted)
    assert norms(merged) == [] and isinstance(merged.conv, QuantConv2d)
    torch.testing.assert_close(merged(x), converted(x), rtol=1e-3, atol=1e-4)


def test_a_model_of_quantized_layers_can_be_merged(x):
    model = nn.Sequential(
        QuantIdentity(),
        QuantConv2d(3, 4, 3, weight_scaling_per_output_channel=True),
        nn.BatchNorm2d(4),
    )
    trained(model, x)
    merged = merge_batch_norms(model, x)
    assert norms(merged) == []
    torch.testing.assert_close(merged(x), model(x), rtol=1e-3, atol=1e-4)


class ReadTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.conv(x)
        return self.bn(x) + x


class CalledTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.conv(self.bn(self.conv(x)))


def shared():
    first, second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
    second.weight = first.weight
    return nn.Sequential(first, nn.BatchNorm2d(3), second)


STAY = {
    "read twice": ReadTwice,
    "called twice": CalledTwice,
    "shared weight": shared,
    "no statistics": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)
    ),
    "no layer before": lambda: nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)),
    "output quantized": lambda: nn.Sequential(
        QuantConv2d(3, 4, 1, output_quant=QuantIdentity().act_quant), nn.BatchNorm2d(4)
    ),
}


@pytest.mark.parametrize("name", STAY)
def test_batch_norm_that_is_no_part_of_one_layer_stays(name, x):
    model = trained(STAY[name](), x)
    merged = merge_batch_norms(model, x)
    assert len(norms(merged)) == 1
    assert torch.equal(merged(x), model(x))


def test_batch_norm_over_a_sequence_of_as_many_steps_as_channels_stays():
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    x = torch.randn(4, 5, 3)
    trained(model, x)
    merged = merge_batch_norms(model, x)
    assert len(norms(merged)) == 1
    assert torch.equal(merged(x), model(x))
    flat = torch.randn(7, 3)
    merged = merge_batch_norms(model, flat)
    assert isinstance(merged.get_submodule("0"), nn.Linear) and norms(merged) == []
    torch.testing.assert_close(merged(flat), model(flat), rtol=1e-4, atol=1e-5)


def test_a_model_that_is_no_graph_needs_an_example():
    with pytest.raises(ValueError, match="Net has to be traced: give merge_batch_norms an example"):
        merge_batch_norms(Net())


def test_quantized_linear_layers_take_batch_norms_too():
    model = nn.Sequential(
        QuantLinear(3, 5, weight_scaling_per_output_channel=True), nn.BatchNorm1d(5)
    )
    x = torch.randn(7, 3)
    trained(model, x)
    merged = merge_batch_norms(model, x)
    assert norms(merged) == []
    torch.testing.assert_close(merged(x), model(x), rtol=1e-3, atol=1e-4)
