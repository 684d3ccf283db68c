"""Training that diverges, and evaluation."""

from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch import nn

from qat.nn import QuantLinear
from qat.quantizers import IRNetWeight
from qat_cli.data import Batches, Part
from qat_cli.data.images.stores import MemoryImages
from qat_cli.engine.evaluation.diagnosis import find_non_finite
from qat_cli.engine.evaluation.evaluate import evaluate
from qat_cli.engine.evaluation.metrics import Tally
from qat_cli.engine.run.loop import train_epoch
from qat_cli.engine.step.objective import Objective
from qat_cli.engine.step.optimizer import make_optimizer
from qat_cli.engine.step.schedule import Schedule
from qat_cli.engine.step.step import Step
from qat_cli.errors import WorkFailed
from qat_cli.recipes.schema import OptimizerConfig, ScheduleConfig
from qat_cli.terminal.console import Console


class Explodes(nn.Module):
    def forward(self, x):
        return x / torch.zeros(())


def batches(count=8, size=4):
    pixels = torch.randint(0, 256, (count, 1, 2, 2), dtype=torch.uint8)
    part = Part(MemoryImages(pixels), torch.arange(count) % 2)
    return Batches(part, [0.5], [0.5], batch_size=size)


def step_of(model, data, epochs=1, accumulate=1, **config):
    config = OptimizerConfig(lr=0.1, **config)
    return Step(
        Objective(label_smoothing=0.1),
        make_optimizer(model, config),
        Schedule(ScheduleConfig(), -(-len(data) // accumulate), epochs),
        clip_grad_norm=config.clip_grad_norm,
        latent_clip=None,
        latent=[],
        accumulate=accumulate,
    )


def train(model, epoch=0, data=None, **settings):
    """Metrics of an epoch, and the batches done after each step."""
    data = data or batches()
    tally, done = Tally(torch.device("cpu")), []
    for taken in train_epoch(model, data, step_of(model, data, **settings), epoch):
        for output in taken.outputs:
            tally.add(*output)
        done.append(taken.batches)
    return tally.metrics(), done


def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


def test_an_epoch_trains_on_every_batch_and_counts_every_image():
    model = linear()
    before = model[1].weight.clone()
    metrics, done = train(model)
    assert metrics.images == 8 and done == [1, 2]
    assert not torch.equal(model[1].weight, before)


def test_who_asks_for_one_step_takes_one_and_the_rest_follows_from_there():
    torch.manual_seed(0)
    data = batches(12)
    at_once, in_parts = linear(), linear()
    in_parts.load_state_dict(at_once.state_dict())
    train(at_once, data=data)
    step = step_of(in_parts, data)
    start = in_parts[1].weight.clone()
    (first,) = islice(train_epoch(in_parts, data, step, 0), 1)
    assert first.batches == 1 and not torch.equal(in_parts[1].weight, start)
    assert not torch.equal(in_parts[1].weight, at_once[1].weight)
    rest = list(train_epoch(in_parts, data, step, 0, first.batches))
    assert [done.batches for done in rest] == [2, 3]
    assert torch.equal(in_parts[1].weight, at_once[1].weight)


@pytest.mark.parametrize("count", [16, 18, 23])
def test_accumulated_batches_train_as_one_batch_of_all_their_images(count):
    # 18: the last step has one short batch of its own; 23: two, the second of them short.
    torch.manual_seed(0)
    small = batches(count)
    large = Batches(small.part, [0.5], [0.5], batch_size=8)
    one, two = linear(), linear()
    two.load_state_dict(one.state_dict())
    metrics, done = train(one, data=small, accumulate=2)
    expected, _ = train(two, data=large)
    assert done == [*range(2, len(small), 2), len(small)]
    assert metrics.images == count and metrics.loss == pytest.approx(expected.loss)
    torch.testing.assert_close(one.state_dict(), two.state_dict())


def test_a_gradient_that_sharpens_over_the_training_is_told_how_much_of_it_is_over():
    model = nn.Sequential(nn.Flatten(), QuantLinear(4, 2, weight_quant=IRNetWeight))
    train(model, epoch=2, epochs=4)
    sharpness = [b for name, b in model.named_buffers() if name.endswith("sharpness")]
    assert [float(t) for t in sharpness] == [pytest.approx(1.0)]  # from 0.1 to 10, half-way


def test_the_gradient_norm_is_limited():
    model = linear()
    before = model[1].weight.clone()
    train(model, clip_grad_norm=1e-6, momentum=0.0)
    assert (model[1].weight - before).abs().max() <= 2 * 0.1 * 1e-6 * (1 + 1e-3) + 1e-7


def test_a_loss_that_is_not_finite_names_the_layer_and_takes_no_step():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), Explodes(), nn.Identity())
    before = model[1].weight.clone()
    with pytest.raises(
        WorkFailed, match=r"epoch 1, batch 1; layer '2' \(Explodes\) is the first.*optimizer\.lr"
    ):
        train(model)
    assert torch.equal(model[1].weight, before)


class Waits(str):
    """The CPU, taken for a device where a look at the loss waits for what is queued."""

    type = "mps"


def test_where_looking_means_waiting_a_loss_is_looked_at_when_the_epoch_is_over():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), Explodes())
    data = replace(batches(12), device=Waits("cpu"))
    steps = train_epoch(model, data, step_of(model, data), 0)
    assert [next(steps).batches, next(steps).batches] == [1, 2]
    with pytest.raises(WorkFailed, match="epoch 1, batch 3; "):
        next(steps)


def test_weights_that_are_not_finite_are_named():
    model = linear()
    with torch.no_grad():
        model[1].bias[0] = torch.nan
    assert find_non_finite(model, torch.zeros(1, 1, 2, 2)).startswith("'1.bias' holds numbers")


def test_evaluation_counts_and_restores_the_mode_of_every_module():
    model = linear().train()
    model[0].eval()  # as a frozen batch norm is
    six = batches(6)
    metrics = evaluate(model, six, Console())
    images, labels = (torch.cat(part) for part in zip(*six.epoch(), strict=True))
    expected = (model(images).argmax(1) == labels).float().mean().item() * 100
    assert metrics.top1 == pytest.approx(expected)
    assert metrics.images == 6 and model.training and not model[0].training
