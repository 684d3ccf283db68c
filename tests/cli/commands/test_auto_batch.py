"""Training that runs out of memory, and ``--auto-batch``."""

import pytest
import yaml

from qat_cli.engine.memory import advice
from qat_cli.engine.run import auto_batch

# A model for which memory ends above 100 images, as torch says it on a CPU.
GREEDY = """
from torch import nn

class Greedy(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))

    def forward(self, x):
        if self.training and len(x) > 100:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 byte")
        return self.layers(x)

def net(num_classes):
    return Greedy(num_classes)
"""


@pytest.fixture(autouse=True)
def no_garbage_collection(monkeypatch):
    """It takes a second in a process that has run thousands of tests."""
    monkeypatch.setattr(advice.gc, "collect", lambda: 0)


@pytest.fixture
def greedy(tmp_path):
    """Arguments that train it with batches of 450."""
    (tmp_path / "greedy.py").write_text(GREEDY)
    recipe = tmp_path / "greedy.yaml"
    recipe.write_text(
        "name: greedy\nmodel: {name: none}\ndata: {name: digits, image_size: 8}\n"
        "train: {epochs: 1, batch_size: 450}\n"
    )
    return ["train", "--recipe", recipe, "--model", "greedy.py:net"]


def settings(run):
    return yaml.safe_load((run / "recipe.yaml").read_text())["train"]


def test_the_largest_half_that_fits_is_found_said_and_recorded(qat, greedy, tmp_path):
    result = qat(*greedy, "--auto-batch", "--batch-size", "256", "--out", "out")
    assert result.exit_code == 0, result.stderr
    assert "auto-batch: batches of 256 images do not fit, a step runs out" in result.stderr
    assert "batches of 64 images, 4 per optimizer step: 256 images, as asked for" in result.stderr
    found = settings(tmp_path / "out")
    assert (found["batch_size"], found["accumulate"], found["auto_batch"]) == (64, 4, False)


def test_a_rerun_and_a_resumed_run_use_what_was_found(qat, greedy, tmp_path, monkeypatch):
    assert qat(*greedy, "--auto-batch", "--out", "out").exit_code == 0
    monkeypatch.setattr(auto_batch, "halvings", lambda images: pytest.fail("searched again"))
    again = qat("train", "--recipe", "out/recipe.yaml", "--model", "greedy.py:net", "--out", "two")
    assert again.exit_code == 0, again.stderr
    # 450 is no power of two: 56 images, and 9 batches of them
    assert settings(tmp_path / "two")["batch_size"] == 56
    assert settings(tmp_path / "two")["accumulate"] == 9
    resumed = qat("train", "--resume", "--out", "out", "--model", "greedy.py:net", "--auto-batch")
    assert resumed.exit_code == 0, resumed.stderr


def test_what_the_estimate_refuses_is_not_tried(qat, tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(auto_batch, "available", lambda device: 1 << 20)
    tried = []
    monkeypatch.setattr(auto_batch, "_fits", lambda *arguments: tried.append(arguments[3]) or True)
    result = qat("train", "--recipe", tiny_recipe, "--auto-batch", "--epochs", "1", "--out", "o")
    assert result.exit_code == 0, result.stderr
    assert "batches of 256 images do not fit, a step takes about" in result.stderr
    assert tried == [settings(tmp_path / "o")["batch_size"]] and tried[0] < 256


def test_where_nothing_fits_the_run_ends_before_it_begins(qat, greedy, tmp_path):
    (tmp_path / "greedy.py").write_text(GREEDY.replace("> 100", "> 0"))
    result = qat(*greedy, "--auto-batch", "--out", "out")
    assert result.exit_code == 1
    assert "not even one image fits" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_batch_that_fits_is_kept(qat, greedy, tmp_path):
    result = qat(*greedy, "--auto-batch", "--batch-size", "64", "--out", "out")
    assert result.exit_code == 0, result.stderr
    assert "auto-batch: batches of 64 images fit" in result.stderr
    assert settings(tmp_path / "out")["accumulate"] == 1


def test_the_search_leaves_no_trace_in_the_weights(qat, tiny_recipe, tmp_path):
    import torch

    arguments = ["train", "--recipe", tiny_recipe, "--epochs", "1"]
    assert qat(*arguments, "--out", "plain").exit_code == 0
    assert qat(*arguments, "--auto-batch", "--out", "searched").exit_code == 0
    one, two = (
        torch.load(tmp_path / run / "checkpoints" / "last.pt", weights_only=True)["weights"]
        for run in ("plain", "searched")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_without_it_the_run_fails_and_says_what_would_fit(qat, greedy):
    result = qat(*greedy, "--out", "out")
    assert result.exit_code == 1
    assert "out of memory in training with batches of 450 images" in result.stderr
    assert "train.batch_size=225 with train.accumulate=2" in result.stderr
    assert "--auto-batch" in result.stderr
    assert "The last good state is out/checkpoints/last.pt" in result.stderr
    assert "Traceback" not in result.stderr
