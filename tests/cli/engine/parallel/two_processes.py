"""Script of test_two_processes.py: the findings of one of two processes.

The same seed in both: each makes the whole tensors and takes its share of them.
"""

import sys

import torch
from torch import nn

from qat.components import ParameterFromRuntimeStatsScaling
from qat.components.stats import (
    AbsAve,
    AbsMax,
    AbsMinMax,
    AbsPercentile,
    NegativePercentileOrZero,
    PercentileInterval,
)
from qat_cli.engine.evaluation.metrics import Tally
from qat_cli.engine.machine import distributed
from qat_cli.engine.parallel.gradients import sum_gradients
from qat_cli.engine.parallel.replicas import copy_from_first, settle
from qat_cli.engine.parallel.statistics import shared_statistics
from qat_cli.engine.parallel.sync_batch_norm import synchronise_batch_norms
from qat_cli.errors import SaidElsewhere, UserError, WorkFailed

STATISTICS = {
    "max": AbsMax(),
    "mean": AbsAve(),
    "min_max": AbsMinMax(),
    "percentile": AbsPercentile(90.0),
    "negative": NegativePercentileOrZero(3.0),
    "interval": PercentileInterval(2.0, 97.0),
}


def own(tensor):
    """Uneven shares: three of eight, five of eight."""
    return tensor[:3] if distributed.is_first() else tensor[3:]


def batch_norm():
    """Loss, gradients and running statistics of two steps, on uneven shares of eight images."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 2))
    names = list(model.state_dict())
    synchronise_batch_norms(model, torch.device("cpu"))
    for _ in range(2):
        images, weight = torch.randn(8, 2, 5, 5) * 3 + 1, torch.randn(8, 2, 2, 2)
        model.zero_grad()
        loss = (model(own(images)) * own(weight)).square().sum((1, 2, 3)).mean()
        loss.backward(torch.tensor(len(own(images)) / 8))
        sum_gradients(model)
    assert list(model.state_dict()) == names
    return {
        "gradients": [parameter.grad for parameter in model.parameters()],
        "buffers": list(model.buffers()),
    }


def statistics():
    """What two calls of a collecting scale leave as its running average, for each statistic."""
    found = {}
    for name, kind in STATISTICS.items():
        torch.manual_seed(2)
        scaling = ParameterFromRuntimeStatsScaling(5, kind)
        with shared_statistics(scaling):
            for _ in range(2):
                scaling(own(torch.randn(8, 11)))
        found[name] = (scaling.buffer, scaling.value.detach(), scaling.counter)
    return found


def gradients():
    """Of parameters used by both, by the second alone, by none."""
    both, second, none = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    model = nn.ParameterList([both, second, none])
    both.grad = torch.full((2,), 1.0 + distributed.rank())
    if not distributed.is_first():
        second.grad = torch.full((2,), 5.0)
    sum_gradients(model)
    return [parameter.grad for parameter in model]


def tally():
    torch.manual_seed(3)
    logits, labels = torch.randn(8, 6), torch.arange(8) % 6
    counts = Tally(torch.device("cpu"))
    losses = nn.functional.cross_entropy(own(logits), own(labels))
    counts.add(losses, own(logits), own(labels))
    return counts.of_all_processes().metrics().as_dict()


def failures():
    """The error that each way to fail ends in."""
    found = {}
    try:
        with distributed.agreeing():
            if not distributed.is_first():
                raise UserError("no such file")
    except (UserError, SaidElsewhere) as error:
        found["one of two"] = type(error).__name__, str(error), error.exit_code
    try:
        distributed.from_first(lambda: 1 / 0)
    except (ZeroDivisionError, SaidElsewhere) as error:
        found["the first"] = type(error).__name__
    model = nn.Linear(2, 2)
    copy_from_first(model)
    settle(model)
    if not distributed.is_first():
        nn.init.zeros_(model.bias)
    try:
        settle(model)
    except WorkFailed as error:
        found["apart"] = str(error)
    return found


@distributed.joined()
def main(folder):
    parts = batch_norm, statistics, gradients, tally, failures
    found = {part.__name__: part() for part in parts}
    torch.save(found, f"{folder}/{distributed.rank()}.pt")


try:
    main(sys.argv[1])
except SaidElsewhere as silent:
    sys.exit(silent.exit_code)
