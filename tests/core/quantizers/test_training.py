"""Quantizers from papers in models: trained, compiled, converted with a bit width."""

import re

import pytest
import torch
from torch import nn

from qat.components import set_progress
from qat.graph import LayerMatch, QuantizerChoice, Rule, Site, quantize_model
from qat.nn import QuantConv2d, QuantIdentity, QuantLinear
from qat.quantizers import DoReFaAct, DoReFaWeight, TTQWeight, ready_made, ready_made_names
from qat.quantizers.resolve.roles import Role, role_of

PAPERS = "XNOR BiReal IRNet TWN TTQ DoReFa PACT LSQ SignedBinary SignedTernary".split()
NAMES = [name for name in ready_made_names() if name.startswith(tuple(PAPERS))]
NAMES = [name for name in NAMES if not re.match("Signed.*PerChannel", name)]
WEIGHTS = [name for name in NAMES if role_of(ready_made(name)) is Role.WEIGHT]
ACTS = [name for name in NAMES if name not in WEIGHTS]
SHORT = {"collect_stats_steps": 1}
#: The others are made of the parts of these, or of parts that are compiled elsewhere.
ONE_OF_EACH_PART = ["XNORWeight", "IRNetAct", "TTQWeight", "PACTAct", "LSQPlusAct"]


def layer_with(name):
    if name in WEIGHTS:
        return QuantConv2d(2, 3, 3, weight_quant=ready_made(name))
    return QuantIdentity(act_quant=ready_made(name), **SHORT)


class OneOfEach(nn.Module):
    """Every quantizer in a layer of its own; the outputs in order."""

    def __init__(self, names):
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


def test_accumulator_of_dorefa_weights_is_on_its_grid():
    act = QuantIdentity(act_quant=DoReFaAct, return_quant_tensor=True)
    layer = QuantLinear(8, 3, bias=False, weight_quant=DoReFaWeight, return_quant_tensor=True)
    out = layer.double()(act.double()(torch.rand(5, 8).double()))
    assert out.is_valid
    assert out.scale.item() == pytest.approx(1 / 15 / 15)


def test_accumulator_of_weights_with_two_scales_has_no_grid():
    act = QuantIdentity(act_quant=DoReFaAct, return_quant_tensor=True)
    layer = QuantLinear(8, 3, bias=False, weight_quant=TTQWeight, return_quant_tensor=True)
    out = layer(act(torch.rand(5, 8)))
    assert out.scale is None
    assert layer.quant_weight().int().unique().tolist() == [-1, 0, 1]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize(
    ("name", "bits"),
    [("LSQWeightPerChannel", 3), ("DoReFaWeight", 2), ("DoReFaWeight", 1), ("PACTAct", 2)],
)
def test_conversion_takes_the_bit_width(name, bits):
    site = Site.WEIGHT if name in WEIGHTS else Site.ACTIVATION
    choices = {site: QuantizerChoice(name, {"bit_width": bits})}
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
