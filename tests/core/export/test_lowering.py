"""Programs of models, as torch traces them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat.export.lowering import lower
from qat.export.program import IntParameter, Kind
from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model
from qat.ptq import calibration_mode

EIGHT = Rule(
    "all",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerChannelFloat"),
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat"),
        Role.ACTIVATION: QuantizerChoice("Uint8ActPerTensorFloat"),
        Role.ADD: QuantizerChoice("Int8ActPerTensorFloat"),
    },
    add_grid="own",
)


class Network(nn.Module):
    """Of every kind that a program has by name, but for those of :class:`Unusual`."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.wide, self.last = nn.Conv2d(8, 8, 3, padding="same", groups=2), nn.Linear(16, 5)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        x = self.pool(F.relu(self.norm(self.stem(x))))
        y = F.relu6(self.wide(x))
        x = F.avg_pool2d(torch.cat([x + y, y], 1), 2)
        return self.last(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Unusual(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.mix = nn.ConvTranspose2d(3, 4, 2, 2), nn.Conv2d(2, 2, 1)
        self.norm, self.last = nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x):
        x = F.silu(self.norm(F.relu(self.up(x))), inplace=True)
        left, right = x.chunk(2, 1)
        x = torch.cat([left * 2, self.mix(right)], 1)
        return self.last(x.mean((2, 3)))


def calibrated(model, x, *rules):
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, -1.5, 1.5)
    made = quantize_model(model.eval(), [EIGHT, *rules], x).model
    with torch.no_grad(), calibration_mode(made):
        made(x)
    return made.eval()


IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def network():
    return calibrated(Network(), IMAGES)


def kinds(lowered):
    return [operation.kind for operation in lowered.program.operations]


def test_operations_stand_in_the_order_of_the_model_and_norms_are_folded(network):
    lowered = lower(network, (IMAGES,))
    named = [kind.value for kind in kinds(lowered) if kind is not Kind.QUANTIZE]
    assert named == [
        "convolution", "max_pool", "convolution", "add", "concatenate",
        "average_pool", "global_pool", "flatten", "linear",
    ]  # fmt: skip
    assert not lowered.kept and not lowered.notes


def test_every_layer_multiplies_integers_with_the_weight_of_its_quantizer(network):
    program = lower(network, (IMAGES,)).program
    layers = {each.layer: each for each in program.operations if each.weight is not None}
    assert [*layers] == ["stem", "wide", "last"]
    assert all(map(program.computes_integers, layers.values()))
    quantized = network.wide.quant_weight()
    assert torch.equal(layers["wide"].weight.integers, quantized.int().to(torch.int32))
    assert torch.equal(layers["wide"].weight.scale, quantized.scale)


def test_a_grid_is_that_of_its_quantizer_and_stays_where_elements_move(network):
    program = lower(network, (IMAGES,)).program
    (pooled,) = [each for each in program.operations if each.kind is Kind.MAX_POOL]
    before, after = (program.values[n] for n in (pooled.inputs[0], pooled.output))
    assert after.grid is before.grid
    maker = program.makers()[pooled.inputs[0]]
    proxy = network.get_submodule(maker.settings["quantizer"])
    assert torch.equal(before.grid.scale, proxy.scale().reshape(()))
    assert before.grid.format == proxy.format and before.grid.zero_point == 0


def test_a_bias_is_in_steps_of_the_accumulator(network):
    program = lower(network, (IMAGES,)).program
    (layer,) = [each for each in program.operations if each.kind is Kind.LINEAR]
    steps = program.values[layer.inputs[0]].grid.scale * layer.weight.scale.reshape(-1)
    assert ((layer.bias_integers * steps.double() - layer.bias).abs() <= steps / 2 + 1e-9).all()


def test_what_has_no_name_is_a_float_operation_and_writes_in_place_are_values():
    lowered = lower(calibrated(Unusual(), IMAGES), (IMAGES,))
    floats = [each for each in lowered.program.operations if each.kind is Kind.FLOAT]
    names = [each.settings["target"].overloadpacket.__name__ for each in floats]
    assert names == ["silu", "slice", "slice", "mul"]
    assert kinds(lowered)[:4] == [
        Kind.QUANTIZE, Kind.CONVOLUTION, Kind.QUANTIZE, Kind.AFFINE,
    ]  # fmt: skip
    assert lowered.notes == [
        "norm: the batch norm stays, no convolution or linear layer is in front of it"
    ]


def test_the_model_stays_as_it_is_and_the_program_takes_any_batch(network):
    before = {name: item.clone() for name, item in network.state_dict().items()}
    lowered = lower(network, (IMAGES,))
    assert all(torch.equal(item, before[name]) for name, item in network.state_dict().items())
    assert not any("batches" in note for note in lowered.notes)


def test_a_quantizer_that_rounds_otherwise_stays_float_and_says_why():
    rule = Rule(
        "floor",
        LayerMatch("ReLU"),
        {
            Role.ACTIVATION: QuantizerChoice(
                "Uint8ActPerTensorFloat", {"float_to_int_impl_type": "floor"}
            )
        },
    )
    lowered = lower(
        calibrated(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), IMAGES, rule), (IMAGES,)
    )
    (kept,) = lowered.kept
    assert (kept.name, kept.reason) == (
        "1.act_quant", "it does not give the nearest number of its grid",
    )  # fmt: skip


def test_binary_activations_are_of_minus_one_and_one():
    rule = Rule(
        "sign",
        LayerMatch("Hardtanh"),
        {Role.ACTIVATION: QuantizerChoice("SignedBinaryActPerTensorConst")},
    )
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Hardtanh(), nn.Conv2d(4, 2, 1))
    program = lower(calibrated(network, IMAGES, rule), (IMAGES,)).program
    grids = [value.grid for value in program.values.values() if value.grid is not None]
    assert [grid.format.name for grid in grids] == ["int8", "binary"]
    assert isinstance(program.operations[-1].weight, IntParameter)


class Branches(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


def test_a_model_that_cannot_be_traced_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"torch.export cannot trace the model: ."):
        lower(Branches(), (IMAGES,))
