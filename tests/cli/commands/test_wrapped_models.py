"""Models in wrappers, and models in which nothing can be quantized."""

import pytest

from qat import torchscript

SOURCE = """
import warnings
import torch
from torch import nn

warnings.simplefilter("ignore")


def plain(num_classes):
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(784, num_classes))


def parallel(num_classes):
    return nn.DataParallel(plain(num_classes))


def hooked(num_classes):
    model = parallel(num_classes)
    model.register_forward_hook(print)
    return model


def compiled(num_classes):
    return torch.compile(plain(num_classes))


def scripted(num_classes):
    return torch.jit.script(plain(num_classes))


class Own(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(256, num_classes))

    def forward(self, x):
        return (torch.relu(x).flatten(1)[:, :, None] * self.scale.abs()).sum(1)
"""


@pytest.fixture
def dry_run(qat, tmp_path):
    """A function: a dry run of training with the factory named."""
    (tmp_path / "mine.py").write_text(SOURCE)

    def run(factory):
        return qat(
            "train", "--recipe", "resnet_w8a8_ptq", "--model", f"mine.py:{factory}", "--dry-run"
        )

    return run


@pytest.mark.parametrize("factory", ["parallel", "compiled"])
def test_a_wrapped_model_is_looked_through_and_that_is_said(dry_run, factory):
    result = dry_run(factory)
    assert result.exit_code == 0, result.stderr
    assert "is looked through" in result.stderr


def test_a_wrapper_with_hooks_is_refused_with_where_they_belong(dry_run):
    result = dry_run("hooked")
    said = " ".join(result.stderr.split())
    assert result.exit_code == 2
    assert "the model cannot be used: the DataParallel around Sequential has forward hooks" in said
    assert "register them on its .module" in said


@pytest.mark.skipif(not torchscript.is_available(), reason="this torch has no TorchScript")
def test_a_scripted_model_is_refused(dry_run):
    result = dry_run("scripted")
    assert result.exit_code == 2 and "give the Python module" in " ".join(result.stderr.split())


def test_a_recipe_that_quantizes_nothing_is_refused_with_the_layers_and_reasons(dry_run):
    result = dry_run("Own")
    said = " ".join(result.stderr.split())
    assert result.exit_code == 2
    assert "no weight of the model has one" in said and "the model itself (Own): scale" in said
