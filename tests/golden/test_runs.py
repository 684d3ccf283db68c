"""Checkpoints, run folders and recipes of an earlier version, through the commands."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

HERE = Path(__file__).parent
RUNS = sorted(path.name for path in (HERE / "trained").iterdir())
FINISHED = [name for name in RUNS if (HERE / "trained" / name / "summary.json").exists()]
RECIPES = json.loads((HERE / "recipes.json").read_text())


@pytest.fixture
def qat(tmp_path, monkeypatch):
    """Run ``qat ARGUMENTS --json`` in a folder with copies of the runs, and return the document."""
    from qat_cli.main import app

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        for name in RUNS:
            if any(str(word).startswith(name) for word in arguments):
                shutil.copytree(HERE / "trained" / name, name)
        result = CliRunner().invoke(app, [*arguments, "--json"])
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return run


@pytest.fixture
def loaded(monkeypatch):
    """The modules that a state dict is loaded into."""
    modules, load = [], torch.nn.Module.load_state_dict

    def spy(self, *arguments, **keywords):
        modules.append(self)
        return load(self, *arguments, **keywords)

    monkeypatch.setattr(torch.nn.Module, "load_state_dict", spy)
    return modules


def stored(name, file="best.pt"):
    return torch.load(HERE / "trained" / name / "checkpoints" / file, weights_only=True)


def read(name, file):
    return json.loads((HERE / "trained" / name / file).read_text())


def agrees(found, expected):
    """All that was said is still said, floats to rounding; more may be said beside it."""
    if isinstance(expected, dict):
        return all(key in found and agrees(found[key], x) for key, x in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(agrees, found, expected))
    return found == (pytest.approx(expected) if isinstance(expected, float) else expected)


@pytest.mark.parametrize("name", FINISHED)
def test_checkpoint_is_loaded_to_the_bit_and_has_the_accuracy_of_then(name, qat, loaded):
    best = ["--checkpoint", f"{name}/checkpoints/best.pt"]
    document = qat("eval", *best, "--device", "cpu", "--backend", "python")
    weights = stored(name)["weights"]
    state = next(m.state_dict() for m in loaded if list(m.state_dict()) == list(weights))
    assert [key for key in weights if not torch.equal(state[key], weights[key])] == []
    assert document["top1"] == read(name, "summary.json")["top1"]
    assert document["loss"] == pytest.approx(read(name, "summary.json")["loss"], rel=1e-3)


@pytest.mark.parametrize("name", RUNS)
def test_inspect_says_of_a_checkpoint_what_it_said(name, qat):
    document = qat("inspect", "--checkpoint", f"{name}/checkpoints/best.pt")
    assert agrees(document, read(name, "inspect.json"))


def test_a_stopped_run_goes_on_to_its_end(qat, tmp_path):
    before = (HERE / "trained" / "stopped" / "metrics.csv").read_text()
    summary = qat("train", "--resume", "stopped")
    after = (tmp_path / "stopped" / "metrics.csv").read_text()
    assert after.startswith(before) and len(list(csv.reader(after.splitlines()))) == 3
    assert summary["epochs_trained"] == 2
    # in training, differences in the last bits of sums grow
    expected = read("stopped", "whole.json")
    assert summary["top1"] == pytest.approx(expected["top1"], abs=2)
    assert summary["test"]["loss"] == pytest.approx(expected["test"]["loss"], rel=0.01)


def test_a_finished_run_is_found_finished(qat):
    summary, before = qat("train", "--resume", "w4a4"), read("w4a4", "summary.json")
    assert summary.keys() >= before.keys()
    for figure in ("top1", "best_epoch", "epochs_trained", "parameters"):
        assert summary[figure] == before[figure]


@pytest.mark.parametrize("name", RUNS)
def test_the_recipe_of_a_run_says_what_its_checkpoint_says(name, qat):
    document = qat("recipes", "show", f"{name}/recipe.yaml")
    assert agrees(document, stored(name)["recipe"])


#: Recipes that ship with other quantizers since; files of then mean what they meant.
CHANGED = {"resnet_w8a8_ptq"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_of_then_is_valid_and_means_the_same(name, qat, tmp_path):
    (tmp_path / "old.yaml").write_text(json.dumps(RECIPES[name]))
    assert agrees(qat("recipes", "show", "old.yaml"), RECIPES[name])
    assert name in CHANGED or agrees(qat("recipes", "show", name), RECIPES[name])
