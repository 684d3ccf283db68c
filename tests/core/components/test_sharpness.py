"""Sharpness of an estimated gradient, and the progress that sets it."""

import copy

import pytest
import torch
from torch import nn

from qat.components import ConstScaling, EstimatedBinaryQuant, ProgressiveSharpness, set_progress
from qat.nn import QuantIdentity, QuantLinear
from qat.quantizers import IRNetAct, IRNetWeight

#: Eager with Python's ops, and scripted with those of C++, which have tests of their own.
eager_and_scripted = pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)


def model():
    return nn.Sequential(
        QuantIdentity(act_quant=IRNetAct),
        QuantLinear(3, 2, weight_quant=IRNetWeight),
        QuantLinear(2, 2),
    )


def sharpnesses(module):
    return [part.sharpness.item() for part in module.modules() if hasattr(part, "sharpness")]


@eager_and_scripted
def test_sharpness_grows_exponentially_from_a_tenth_to_ten(built):
    sharpness = built(ProgressiveSharpness()).double()
    for fraction, t in ((0.0, 0.1), (0.25, 10**-0.5), (0.5, 1.0), (1.0, 10.0)):
        sharpness.set_progress(fraction)
        assert sharpness().item() == pytest.approx(t)


@eager_and_scripted
def test_every_quantizer_of_a_model_that_cares_is_told(backend):
    made = model()
    assert set_progress(made, 0.5) == 2
    assert sharpnesses(made) == pytest.approx([1.0, 1.0])


def test_model_without_such_quantizers_is_left_alone():
    assert set_progress(nn.Sequential(QuantLinear(2, 2), nn.ReLU()), 0.5) == 0


@pytest.mark.parametrize("fraction", [-0.1, 1.5, float("nan")])
def test_progress_outside_of_the_training_is_refused(fraction):
    with pytest.raises(ValueError, match="share of the training, from 0 to 1"):
        set_progress(nn.Identity(), fraction)


def test_resumed_training_goes_on_with_the_same_gradient():
    made, resumed = model(), model()
    set_progress(made, 0.7)
    resumed.load_state_dict(made.state_dict(), strict=True)
    assert sharpnesses(resumed) == sharpnesses(made) == sharpnesses(copy.deepcopy(made))


def test_gradient_is_that_of_the_progress_at_hand(backend):
    quant = EstimatedBinaryQuant(ConstScaling(1.0), "ede").double()
    slopes = []
    for fraction in (0.0, 0.5, 1.0):
        set_progress(quant, fraction)
        x = torch.tensor([0.2], dtype=torch.float64, requires_grad=True)
        quant(x)[0].sum().backward()
        slopes.append(x.grad.item())
    t = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    expected = torch.clamp(1 / t, min=1) * t * (1 - torch.tanh(0.2 * t) ** 2)
    assert slopes == pytest.approx(expected.tolist())


def test_progress_reaches_a_weight_that_is_kept_between_changes():
    layer = QuantLinear(600, 600, bias=False, weight_quant=IRNetWeight)
    x = torch.randn(2, 600)

    def gradient():
        layer.weight.grad = None
        for _ in range(2):  # used twice, so that it is kept
            layer(x).sum().backward()
        return layer.weight.grad

    early = gradient()
    set_progress(layer, 1.0)
    assert not torch.allclose(gradient(), early)


def test_compiled_code_sees_the_progress_without_compiling_again(monkeypatch):
    monkeypatch.setattr("qat.config.JIT_ENABLED", False)
    quant = EstimatedBinaryQuant(ConstScaling(1.0), "ede")
    graphs = []

    def count(graph, example):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(quant, fullgraph=True, backend=count)
    slopes = []
    for fraction in (0.0, 1.0):
        set_progress(compiled, fraction)
        x = torch.zeros(1, requires_grad=True)
        compiled(x)[0].sum().backward()
        slopes.append(x.grad.item())
    assert slopes == pytest.approx([1.0, 10.0])
    assert len(graphs) == 1


def test_name_of_no_gradient_is_refused_when_built():
    with pytest.raises(ValueError, match="sign_gradient_type is 'swish'; choose one of 'straight'"):
        EstimatedBinaryQuant(ConstScaling(1.0), "swish")


def test_sharpness_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="from 0.0 to 10.0; both must be positive"):
        ProgressiveSharpness(low=0.0)
