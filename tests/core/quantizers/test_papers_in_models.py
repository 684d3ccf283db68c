"""Quantizers from papers in layers and whole models: by name, compiled, in half types, trained."""

import pytest
import torch
from torch import nn

from qat.components import set_progress
from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, quantize_model
from qat.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from qat.quantizers import DoReFaAct, DoReFaWeight, TTQWeight, ready_made
from qat.quantizers.ready.binary_papers import BINARY_PAPERS
from qat.quantizers.ready.binary_ternary import BINARY_TERNARY
from qat.quantizers.ready.low_bit_papers import LOW_BIT_PAPERS
from qat.quantizers.resolve.roles import WeightResolver

NAMES = {**BINARY_PAPERS, **BINARY_TERNARY, **LOW_BIT_PAPERS}
WEIGHTS = [name for name, quantizer in NAMES.items() if issubclass(quantizer, WeightResolver)]
ACTS = [name for name in NAMES if name not in WEIGHTS]
SHORT = {"collect_stats_steps": 1}
#: The others are made of the parts of these, or of parts that are compiled elsewhere.
ONE_OF_EACH_PART = [
    "XNORWeight",
    "IRNetWeight",
    "IRNetAct",
    "TWNWeight",
    "TTQWeight",
    "DoReFaWeight",
    "PACTAct",
    "LSQWeightPerChannel",
    "LSQPlusAct",
]


def layer_with(name):
    if name in WEIGHTS:
        return QuantConv2d(2, 3, 3, weight_quant=ready_made(name))
    return QuantIdentity(act_quant=ready_made(name), **SHORT)


class OneOfEach(nn.Module):
    """Every quantizer in a layer of its own; the outputs in order."""

    def __init__(self, names=NAMES):
        super().__init__()
        self.names = list(names)
        self.layers = nn.ModuleList(map(layer_with, names))

    def forward(self, x):
        return [layer(x) for layer in self.layers]


def images(**keywords):
    return torch.randn(3, 2, 5, 5, **keywords)


def gradients(model, outputs):
    model.zero_grad()
    sum(out.square().sum() for out in outputs).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_compiled_training_is_eager_training(without_jit):
    names = ONE_OF_EACH_PART
    eager, twin = OneOfEach(names), OneOfEach(names)
    twin.load_state_dict(eager.state_dict())
    compiled = torch.compile(twin, fullgraph=True, backend="eager")
    for _ in range(2):
        x = images()
        expected, out = eager(x), compiled(x)
        for name, a, b in zip(names, out, expected, strict=True):
            torch.testing.assert_close(a, b, msg=lambda text, name=name: f"{name}: {text}")
        torch.testing.assert_close(gradients(twin, out), gradients(eager, expected))
    torch.testing.assert_close(twin.state_dict(), eager.state_dict())


def test_exported_evaluation_is_eager_evaluation(without_jit):
    model = OneOfEach()
    model(images())
    x = images()
    exported = torch.export.export(model.eval(), (x,))
    assert all(map(torch.equal, exported.module()(x), model(x)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_types_train(dtype, backend):
    model = OneOfEach().to(dtype)
    for _ in range(2):
        outputs = model(images(dtype=dtype))
        assert {out.dtype for out in outputs} == {dtype}
        model.zero_grad()
        sum(out.float().square().mean() for out in outputs).backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_empty_batch_and_channels_last_input(backend):
    model = OneOfEach()
    x = images()
    model(x)
    model.eval()
    assert [len(out) for out in model(x[:0])] == [0] * len(NAMES)
    for out, expected in zip(model(x.to(memory_format=torch.channels_last)), model(x), strict=True):
        torch.testing.assert_close(out, expected)


def test_every_result_is_a_valid_quantized_tensor(backend):
    x = images()
    model = OneOfEach()
    model(x)
    for name, layer in zip(model.names, model.eval().layers, strict=True):
        if name in WEIGHTS:
            made = layer.quant_weight()
        else:
            layer.return_quant_tensor = True
            made = layer(x)
        assert made.is_valid, name
        assert torch.equal(
            ((made.int() - made.zero_point) * made.scale).detach(), made.value.detach()
        ), name


def test_accumulator_of_dorefa_weights_is_on_its_grid(backend):
    act = QuantIdentity(act_quant=DoReFaAct, return_quant_tensor=True)
    layer = QuantLinear(8, 3, bias=False, weight_quant=DoReFaWeight, return_quant_tensor=True)
    out = layer.double()(act.double()(torch.rand(5, 8).double()))
    assert out.is_valid
    assert out.scale.item() == pytest.approx(1 / 15 / 15)


def test_accumulator_of_weights_with_two_scales_has_no_grid(backend):
    act = QuantIdentity(act_quant=DoReFaAct, return_quant_tensor=True)
    layer = QuantLinear(8, 3, bias=False, weight_quant=TTQWeight, return_quant_tensor=True)
    out = layer(act(torch.rand(5, 8)))
    assert out.scale is None
    assert layer.quant_weight().int().unique().tolist() == [-1, 0, 1]


@pytest.mark.parametrize("name", NAMES)
def test_delay_hands_the_input_through_at_first(name, backend):
    layer = nn.Linear(4, 3)
    x = layer.weight.detach() if name in WEIGHTS else torch.randn(3, 4)
    quant = ready_made(name).let(module=layer, quant_delay_steps=1).tensor_quant
    assert torch.equal(quant(x)[0], x)
    assert not torch.equal(quant(x)[0], x)


@pytest.mark.parametrize("name", WEIGHTS)
def test_quantizer_is_shared_by_layers(name, backend):
    first = QuantLinear(4, 3, weight_quant=ready_made(name))
    second = QuantLinear(4, 3, weight_quant=first.weight_quant)
    x = torch.randn(2, 4)
    (first(x) + second(x)).sum().backward()
    assert first.weight.grad.shape == second.weight.grad.shape
    assert second.quant_weight().is_valid


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_whole_model_is_converted_by_name(name):
    role = Role.WEIGHT if name in WEIGHTS else Role.ACTIVATION
    choices = {role: QuantizerChoice(name)}
    made = quantize_model(Net(), [Rule("quant", LayerMatch(), choices)], images())
    model = made.model
    model(images()).sum().backward()
    if name in WEIGHTS:
        assert isinstance(model.conv, QuantConv2d)
        assert model.fc.weight_quant.injector.__name__ == name
    else:
        assert isinstance(model.relu, QuantReLU)


@pytest.mark.parametrize(
    ("name", "bits"),
    [("LSQWeightPerChannel", 3), ("DoReFaWeight", 2), ("DoReFaWeight", 1), ("PACTAct", 2)],
)
def test_conversion_takes_the_bit_width(name, bits):
    role = Role.WEIGHT if name in WEIGHTS else Role.ACTIVATION
    choices = {role: QuantizerChoice(name, {"bit_width": bits})}
    model = quantize_model(Net(), [Rule("quant", LayerMatch(), choices)], images()).model
    levels = (model.conv.quant_weight().value if name in WEIGHTS else model.relu(images())).unique()
    assert len(levels) <= 2**bits * (4 if "PerChannel" in name else 1)


def problem():
    """Two classes that a line does not divide."""
    torch.manual_seed(7)
    x = torch.randn(128, 8)
    return x, (x[:, 0] * x[:, 1] > 0).long()


def learned_scales(model):
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if "scaling" in name or "zero_point" in name
    }


def trained(name, steps=80):
    """Losses of every step, the model, and its learned scales after the second step."""
    x, labels = problem()
    weight_quant = ready_made(name) if name in WEIGHTS else None
    # what PACT starts at, 10, nothing exceeds here
    start = {"max_val": 1.0} if name == "PACTAct" else {}
    act = QuantIdentity(act_quant=ready_made(name), **SHORT, **start) if name in ACTS else None
    model = nn.Sequential(
        nn.Linear(8, 32),
        nn.BatchNorm1d(32),
        nn.Hardtanh() if act is None else act,
        QuantLinear(32, 32, weight_quant=weight_quant),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 2),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, fused=True)
    losses, early = [], {}
    for step in range(steps):
        set_progress(model, step / steps)
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        early = learned_scales(model) if step == 1 else early
    return losses, model, early


@pytest.mark.parametrize("name", NAMES)
def test_model_learns_its_scales_move_and_values_stay_on_the_grid(name):
    losses, model, early = trained(name)
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])

    late = learned_scales(model)
    assert all(not torch.equal(early[scale], late[scale]) for scale in early)

    if name in WEIGHTS:
        made = model[3].quant_weight()
    else:
        model[2].return_quant_tensor = True
        made = model.eval()[:3](problem()[0])
    assert made.is_valid
