"""Converted models compute what the user's do and leave these alone."""

import copy
import pickle
import random

import numpy
import pytest
import torch
from torch import nn

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model
from qat.graph.tracing.values import tensors_in
from qat.proxy import QuantProxy

RULE = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerTensorFloat"),
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat"),
        Role.ACTIVATION: QuantizerChoice("Uint8ActPerTensorFloat"),
        Role.ADD: QuantizerChoice("Int8ActPerTensorFloat"),
    },
)
#: Parts that Python alone can compute; the rest of their models is converted in full.
STAY_PYTHON = {
    "CounterGatesABranch": "gate",
    "OnePartReadsNumbers": "part",
    "DropsLayers": "maybe",
    "RoutesTokens": "experts",
    "LooksAtTheBatchSize": "spread",
    "LimitsANorm": "limited",
    "DropsRowsByPython": "drop",
}


def quantized(model, example=None):
    return quantize_model(model, [RULE], torch.randn(1, 3, 8, 8) if example is None else example)


def without_quantizers(model):
    for module in model.modules():
        if isinstance(module, QuantProxy):
            module.disable_quant = True
    return model


def step(model, x, seed, names):
    """Outputs, gradients and buffers of these names after a step of a model, which is put back."""
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(seed), random.seed(seed)
    outputs = [*tensors_in(model(x))]
    sum(output.square().sum() for output in outputs if output.requires_grad).backward()
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    made = (
        outputs,
        [None if parameters[n].grad is None else parameters[n].grad.clone() for n in names[0]],
        [buffers[name].clone() for name in names[1]],
    )
    model.load_state_dict(before)
    model.zero_grad()
    return made


def close(wanted, made):
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("mode", ["evaluation", "training"])
def test_converted_model_is_the_same_function_and_trains_the_same(written, mode):
    converted = without_quantizers(quantized(written).model)
    for model in (written, converted):
        model.train(mode == "training")
    kept = set(dict(converted.named_parameters())) | set(dict(converted.named_buffers()))
    names = [
        [name for name, _ in named if name in kept]
        for named in (written.named_parameters(), written.named_buffers())
    ]
    for batch, seed in ((1 if mode == "evaluation" else 2, 1), (3, 2), (4, 3)):
        x = torch.randn(batch, 3, 8, 8)
        for wanted, made in zip(
            step(written, x, seed, names), step(converted, x, seed, names), strict=True
        ):
            close(wanted, made)


def test_user_model_is_left_bit_for_bit_and_key_for_key(written):
    written.train()
    written.second.eval()
    before = copy.deepcopy(written.state_dict())
    attributes = {name: set(vars(module)) for name, module in written.named_modules()}
    modes = {name: module.training for name, module in written.named_modules()}
    states = [set(quantized(written).model.state_dict()) for _ in range(2)]
    assert states[0] == states[1]
    assert {name: set(vars(module)) for name, module in written.named_modules()} == attributes
    assert {name: module.training for name, module in written.named_modules()} == modes
    after = written.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_every_layer_with_a_weight_is_quantized_and_only_what_must_stays_python(written):
    result = quantized(written)
    rows = {row.name: row.weight for row in result.layers}
    layers = {
        name for name, m in written.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    } - set(unused(result))
    found = {name for name in layers if rows.get(name, "float") not in ("-", "float")}
    assert found == layers
    python = [note for note in result.notes if "stays Python" in note]
    wanted = STAY_PYTHON.get(type(written).__name__)
    assert [note.split()[0] for note in python] == ([wanted] if wanted else [])


def unused(result):
    notes = [note for note in result.notes if note.startswith("left out")]
    return notes[0].partition(": ")[2].split(", ") if notes else []


def test_state_has_the_names_of_the_float_model(written):
    result = quantized(written)
    own = {name for name in result.model.state_dict() if "quant" not in name}
    dropped = tuple(f"{name}." for name in unused(result))
    wanted = {name for name in written.state_dict() if not name.startswith(dropped or "\0")}
    packed = {name for name in own ^ wanted if ".in_proj" in name}  # attention names its parts
    assert own ^ wanted == packed


def test_converted_model_is_copied_and_pickled_in_both_modes(written):
    model = quantized(written).model
    x = torch.randn(2, 3, 8, 8)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for mode in (False, True):
        torch.manual_seed(0), random.seed(0)
        wanted = [*tensors_in(copy.deepcopy(model).train(mode)(x))]
        for other in copies:
            torch.manual_seed(0), random.seed(0)
            made = [*tensors_in(copy.deepcopy(other).train(mode)(x))]
            close(wanted, made)


def test_module_frozen_by_hand_stays_in_evaluation_when_trained():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).train()
    model[1].eval()
    converted = quantized(model).model.eval().train()
    assert not converted.get_submodule("1").training
    assert converted.get_submodule("0").training


def test_several_inputs_are_given_as_a_tuple():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.image, self.words = nn.Conv2d(3, 4, 3), nn.Linear(5, 4)

        def forward(self, image, words, flag=True):
            out = self.image(image).mean((2, 3)) + self.words(words)
            return out if flag else -out

    model = Two()
    example = (torch.randn(1, 3, 8, 8), torch.randn(1, 5))
    converted = without_quantizers(quantized(model, example).model)
    batch = (torch.randn(3, 3, 8, 8), torch.randn(3, 5))
    torch.testing.assert_close(converted(*batch), model(*batch))


def test_nothing_of_a_failed_trace_reaches_the_terminal(capfd):
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.conv(x) if x.sum() > 0 else x

    notes = quantized(Branches()).notes
    assert notes[0].startswith("the model does not trace (forward branches on the values")
    assert capfd.readouterr() == ("", "")


def test_error_in_a_converted_model_prints_no_traceback_of_its_own(capfd):
    converted = quantized(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())).model
    with pytest.raises(RuntimeError):
        converted(torch.randn(1, 4, 8, 8))
    assert capfd.readouterr() == ("", "")


def test_example_of_zeros_does_not_hide_a_difference():
    class Scales(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1, bias=False)
            self.factor = None

        def forward(self, x):
            if self.factor is None:  # a number that the first batch leaves behind, unseen
                self.factor = float(x.detach().abs().max().numpy()) + 1
            return self.conv(x * self.factor)

    result = quantized(Scales(), torch.zeros(2, 3, 8, 8))
    assert "does not trace" in result.notes[0]


def test_random_numbers_of_the_program_go_on_as_if_nothing_had_been_converted():
    def draw():
        return torch.rand(1).item(), random.random(), numpy.random.rand()

    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout())
    torch.manual_seed(7), random.seed(7), numpy.random.seed(7)
    wanted = draw()
    torch.manual_seed(7), random.seed(7), numpy.random.seed(7)
    quantized(model, torch.ones(1, 3, 8, 8))
    assert draw() == wanted
