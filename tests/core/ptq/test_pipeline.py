"""Post-training steps: table, pipeline, ranges as first step."""

import copy

import pytest
import torch
from torch import nn

from qat.nn import QuantIdentity, QuantLinear, QuantReLU
from qat.ptq import STEPS, StepReport, calibration_mode, run_steps
from qat.ptq import pipeline as pipeline_module

BATCHES = [torch.tensor([[4.0, -2.0], [1.0, 1.0]]), torch.tensor([[8.0, 3.0]])]


def network():
    torch.manual_seed(0)
    return nn.Sequential(QuantIdentity(), QuantLinear(2, 3), QuantReLU())


def test_ranges_are_those_of_a_pass_in_calibration_mode():
    model = network()
    expected = copy.deepcopy(model)
    with torch.no_grad(), calibration_mode(expected):
        for batch in BATCHES:
            expected(batch)
    (report,) = run_steps(model, ["ranges"], BATCHES)
    assert all(torch.equal(t, expected.state_dict()[k]) for k, t in model.state_dict().items())
    assert (report.step, report.images) == ("ranges", 3)


def test_the_report_has_the_scale_of_every_activation_quantizer():
    model = network()
    (report,) = run_steps(model, ["ranges"], BATCHES)
    scales = {name: float(text.removeprefix("scale ")) for name, text in report.layers.items()}
    assert list(scales) == ["0.act_quant", "2.act_quant"]
    scale = model[0].act_quant.scale().item()
    assert scales["0.act_quant"] == pytest.approx(scale, rel=1e-3)


def test_progress_is_told_the_images_done():
    seen = []
    list(run_steps(network(), ["ranges"], BATCHES, seen.append))
    assert seen == [2, 3]


def test_the_caller_has_the_model_between_two_steps(monkeypatch):
    order = []

    def step(model, images, progress):
        assert not model.training
        order.append(f"step {len(list(images))}")
        return StepReport("step")

    monkeypatch.setattr(pipeline_module, "STEPS", {"one": step, "two": step})
    model = network()
    for _ in run_steps(model, ["one", "two"], BATCHES):
        order.append("measured")
        model.train()
    assert order == ["step 2", "measured", "step 2", "measured"]


def test_an_unknown_step_is_refused_before_any_is_taken():
    model = network()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=r"post-training step is 'range'.*did you mean 'ranges'"):
        run_steps(model, ["ranges", "range"], BATCHES)
    assert all(torch.equal(before[k], t) for k, t in model.state_dict().items())


@pytest.mark.parametrize("name", STEPS)
def test_every_step_reports_under_its_own_name(name):
    (report,) = run_steps(network(), [name], BATCHES)
    assert report.step == name
