"""Half precision in the forward pass."""

import pytest
import torch
from torch import nn
from torch.optim import SGD

from qat_cli.engine.step.objective import Objective
from qat_cli.engine.step.precision import Precision
from qat_cli.engine.step.schedule import Schedule
from qat_cli.engine.step.step import Step
from qat_cli.recipes.schema import ScheduleConfig


def step_of(model, name):
    return Step(
        Objective(),
        SGD(model.parameters(), lr=1.0, fused=True),
        Schedule(ScheduleConfig(name="constant"), 1, 1),
        clip_grad_norm=None,
        latent_clip=None,
        latent=[],
        precision=Precision(name),
    )


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ],
)
def test_layers_compute_in_the_type_and_the_loss_and_the_weights_are_float32(name, dtype):
    model = nn.Linear(3, 2)
    step = step_of(model, name)
    loss, logits = step.loss(model, torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
    step.backward(loss, None)
    step.finish(model)
    assert logits.dtype == dtype and loss.dtype == torch.float32
    assert model.weight.dtype == model.weight.grad.dtype == torch.float32


def test_a_float16_step_moves_the_weights_as_a_float32_step_does():
    torch.manual_seed(0)
    one, images, labels = nn.Linear(3, 2), torch.randn(4, 3), torch.tensor([0, 1, 0, 1])
    two = nn.Linear(3, 2)
    two.load_state_dict(one.state_dict())
    for model, name in ((one, "float32"), (two, "float16")):
        step = step_of(model, name)
        loss, _ = step.loss(model, images, labels)
        step.backward(loss, None)
        step.finish(model)
    torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=0, atol=2e-3)


def test_a_step_whose_float16_gradients_overflow_is_left_out_and_the_factor_halved():
    model = nn.Linear(3, 2)
    step, before = step_of(model, "float16"), model.weight.clone()
    scaler = step.precision.scaler
    loss, _ = step.loss(model, torch.full((1, 3), 1e4), torch.tensor([0]))
    factor = scaler.get_scale()
    step.backward(loss, torch.tensor(1e38))
    step.finish(model)
    assert torch.equal(model.weight, before)
    assert scaler.get_scale() == factor / 2
