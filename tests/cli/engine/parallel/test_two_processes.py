"""Two processes together, against one that has everything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributed import TCPStore

from qat.components import ParameterFromRuntimeStatsScaling
from qat.components.stats import (
    AbsAve,
    AbsMax,
    AbsMinMax,
    AbsPercentile,
    NegativePercentileOrZero,
    PercentileInterval,
)
from qat_cli.app.launcher import process_environment
from qat_cli.engine.evaluation.metrics import Tally

SCRIPT = Path(__file__).parent / "two_processes.py"
WAIT_SECONDS = 300  # a loaded machine takes its time to import torch


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of the two processes has found."""
    folder = tmp_path_factory.mktemp("two")
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder)],
            env={**os.environ, **process_environment(number, 2, store.port)},
        )
        for number in range(2)
    ]
    try:
        assert [process.wait(WAIT_SECONDS) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [torch.load(folder / f"{number}.pt", weights_only=True) for number in range(2)]


def same(first, second):
    return all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


def test_batch_norms_have_statistics_and_gradients_of_the_whole_batch(found):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 2))
    for _ in range(2):
        images, weight = torch.randn(8, 2, 5, 5) * 3 + 1, torch.randn(8, 2, 2, 2)
        model.zero_grad()
        (model(images) * weight).square().sum((1, 2, 3)).mean().backward()
    for own in found:
        torch.testing.assert_close(own["batch_norm"]["buffers"], list(model.buffers()))
        expected = [parameter.grad for parameter in model.parameters()]
        torch.testing.assert_close(own["batch_norm"]["gradients"], expected, rtol=1e-4, atol=1e-5)
    first, second = (own["batch_norm"] for own in found)
    assert same(first["buffers"], second["buffers"])
    assert same(first["gradients"], second["gradients"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("max", AbsMax()),
        ("mean", AbsAve()),
        ("min_max", AbsMinMax()),
        ("percentile", AbsPercentile(90.0)),
        ("negative", NegativePercentileOrZero(3.0)),
        ("interval", PercentileInterval(2.0, 97.0)),
    ],
)
def test_statistics_of_quantizers_are_those_of_the_whole_batch(found, name, kind):
    torch.manual_seed(2)
    scaling = ParameterFromRuntimeStatsScaling(5, kind)
    for _ in range(2):
        scaling(torch.randn(8, 11))
    expected = scaling.buffer, scaling.value.detach(), scaling.counter
    first, second = (own["statistics"][name] for own in found)
    torch.testing.assert_close(first, expected)
    assert same(first, second)


def test_a_gradient_that_some_have_is_summed_and_one_that_none_has_stays_away(found):
    for own in found:
        both, second, none = own["gradients"]
        assert both.tolist() == [3.0, 3.0] and second.tolist() == [5.0, 5.0] and none is None


def test_figures_are_those_of_all_images(found):
    torch.manual_seed(3)
    logits, labels = torch.randn(8, 6), torch.arange(8) % 6
    tally = Tally(torch.device("cpu"))
    tally.add(nn.functional.cross_entropy(logits, labels), logits, labels)
    expected = tally.metrics().as_dict()
    for own in found:
        assert own["tally"] == pytest.approx(expected)
        assert (own["tally"]["top1"], own["tally"]["images"]) == (expected["top1"], 8)


def test_what_fails_in_one_fails_in_all_and_the_first_says_where(found):
    first, second = (own["failures"] for own in found)
    assert first["one of two"] == ("UserError", "process 1: no such file", 2)
    assert second["one of two"][::2] == ("SaidElsewhere", 2)
    assert (first["the first"], second["the first"]) == ("ZeroDivisionError", "SaidElsewhere")


def test_processes_that_have_come_apart_are_found_and_the_tensor_is_named(found):
    for own in found:
        assert own["failures"]["apart"].startswith("the processes have come apart: 'bias' is not")
