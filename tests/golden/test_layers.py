"""Layers with every ready-made quantizer against the files of an earlier version."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from qat import config, nn, quantizers

HERE = Path(__file__).parent
#: By name: the layers to build one behind another, the input they are trained on, and what is
#: looked at in evaluation: ``quant_weight``, ``quant_bias``, the output (``forward``), or nothing.
CASES = json.loads((HERE / "layers.json").read_text())


@pytest.fixture(autouse=True)
def python_ops(monkeypatch):
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", False)


@pytest.fixture(scope="module")
def tensors():
    """Everything stored, by case and part (state, out, gradient), and ``"inputs", NAME``."""
    found = defaultdict(dict)
    for key, tensor in load_file(HERE / "layers.safetensors").items():
        case, part, *rest = key.split("/")
        found[case, part]["/".join(rest)] = tensor
    return found


def build(layers):
    """The layers, one behind another; quantizers are given by name."""
    torch.manual_seed(0)
    made = []
    for kind, arguments, keywords in layers:
        named = {
            key: getattr(quantizers, value)
            if key.endswith("_quant") and isinstance(value, str)
            else value
            for key, value in keywords.items()
        }
        made.append(getattr(nn, kind)(*arguments, **named))
    return made[0] if len(made) == 1 else torch.nn.Sequential(*made)


def train(layer, x, float_parameters):
    """Start from the parameters of the float layer, and show the input twice."""
    if float_parameters:
        layer.load_state_dict(float_parameters, strict=False)
    layer.train()
    layer(x)
    layer(0.75 * x)
    return layer


def look_at(layer, looked_at, x):
    """Value and grid in evaluation, and the gradients of ``sum(w * value)``, ``w`` from -1 to 1."""
    layer.eval()
    x = x.clone().requires_grad_()
    if looked_at != "forward":
        layer(x)  # whose grid some weights and biases follow
    made = layer(x) if looked_at == "forward" else getattr(layer, looked_at)()
    value = getattr(made, "value", made)
    grid = {name: getattr(made, name, None) for name in ("scale", "zero_point", "bit_width")}
    out = {"value": value, **{name: item for name, item in grid.items() if item is not None}}
    weights = torch.linspace(-1.0, 1.0, value.numel()).reshape(value.shape)
    learned = {"x": x, **dict(layer.named_parameters())}
    found = torch.autograd.grad((weights * value).sum(), learned.values(), allow_unused=True)
    gradients = {k: g for k, g in zip(learned, found, strict=True) if g is not None}
    return {k: item.detach().clone() for k, item in out.items()}, gradients


@pytest.mark.parametrize("name", CASES)
def test_state_of_an_earlier_version_loads_and_computes_the_same(name, tensors):
    case, state = CASES[name], tensors[name, "state"]
    layer = build(case["layers"])
    assert sorted(layer.state_dict()) == sorted(state)
    layer.load_state_dict(state, strict=True)
    assert all(torch.equal(item, state[key]) for key, item in layer.state_dict().items())
    if case["looked_at"]:
        out, gradients = look_at(layer, case["looked_at"], tensors["inputs", case["input"]][""])
        expected = tensors[name, "out"]
        assert out.keys() == expected.keys()
        assert [key for key in out if not torch.equal(out[key], expected[key])] == []
        torch.testing.assert_close(gradients, tensors[name, "gradient"])  # sums


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name]["looked_at"]])
def test_training_starts_with_the_state_of_an_earlier_version(name, tensors):
    case, state = CASES[name], tensors[name, "state"]
    parameters = {key: state[key] for key in ("weight", "bias") if key in state}
    layer = train(build(case["layers"]), tensors["inputs", case["input"]][""], parameters)
    found = layer.state_dict()
    assert sorted(found) == sorted(state)
    assert [key for key in state if not torch.equal(found[key], state[key])] == []
